"""The inside of the fake proxy of `discordproxy.testing`."""

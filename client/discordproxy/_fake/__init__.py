"""The implementation of the fake proxy in `discordproxy.testing`."""

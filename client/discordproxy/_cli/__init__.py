"""The commands `discordproxy` and `discordproxymessage`."""

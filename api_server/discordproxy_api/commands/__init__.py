"""Application commands: each application owns its own ones among the commands of the bot."""

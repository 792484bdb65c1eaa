"""The gateway worker: the bot's connections to Discord, the caches and the event streams."""

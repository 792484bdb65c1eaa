"""The gateway worker: one bot connection, the caches it feeds, the events it passes on."""

"""The door to the events: subscribe with a cursor, answer interactions once."""

from discordproxy_gateway.events.interactions import APPLICATION, DEFERRED, Interactions

__all__ = ["APPLICATION", "DEFERRED", "Interactions"]

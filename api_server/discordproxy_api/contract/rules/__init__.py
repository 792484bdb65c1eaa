"""Discord's limits and rules for requests. Pure."""

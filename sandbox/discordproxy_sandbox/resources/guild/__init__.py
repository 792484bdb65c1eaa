"""Guilds and what belongs to them."""

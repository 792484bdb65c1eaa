"""Calls about guilds, their members and roles."""

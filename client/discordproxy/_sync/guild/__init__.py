# Generated from _async/guild/__init__.py by client/generate_sync.py; edit that file and run it again.
"""Calls about guilds, their members and roles."""

"""The RPCs of application commands, and Discord's own routes for applications that have their own commands."""

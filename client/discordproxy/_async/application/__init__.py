"""Calls about the application."""

"""Turns events into cache and stream operations."""

"""Reads from the gateway's caches, the overlay of own writes, and computed permissions."""

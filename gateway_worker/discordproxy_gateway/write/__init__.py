"""Writes planned operations to Redis in batches."""

"""Calls about channels, threads and voice."""

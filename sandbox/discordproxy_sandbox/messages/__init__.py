"""Validation of messages, and their stored form."""

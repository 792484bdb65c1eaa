"""Calls about messages, webhooks and interactions."""

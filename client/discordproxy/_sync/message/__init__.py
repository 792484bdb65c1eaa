# Generated from _async/message/__init__.py by client/generate_sync.py; edit that file and run it again.
"""Calls about messages, webhooks and interactions."""

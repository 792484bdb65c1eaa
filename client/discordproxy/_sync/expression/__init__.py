# Generated from _async/expression/__init__.py by client/generate_sync.py; edit that file and run it again.
"""Calls about emojis, stickers and sounds."""

"""Calls about emojis, stickers and sounds."""

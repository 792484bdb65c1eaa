"""Bounds on what callers may use at once, and the drain."""

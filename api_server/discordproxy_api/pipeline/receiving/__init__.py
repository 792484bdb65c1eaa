"""Receives requests within the limits of memory and time."""

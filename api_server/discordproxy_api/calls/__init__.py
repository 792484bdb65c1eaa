"""Calls of applications, independent of the transport."""

# Generated from _async/application/__init__.py by client/generate_sync.py; edit that file and run it again.
"""Calls about the application."""

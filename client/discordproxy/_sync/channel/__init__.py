# Generated from _async/channel/__init__.py by client/generate_sync.py; edit that file and run it again.
"""Calls about channels, threads and voice."""

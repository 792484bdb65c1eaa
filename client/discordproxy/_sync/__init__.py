# Generated from _async/__init__.py by client/generate_sync.py; edit that file and run it again.
"""The calls of the client, one module per resource."""

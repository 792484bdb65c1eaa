"""The objects of the sandbox."""

"""The gateway of the sandbox."""

"""One module per resource of Discord's documentation, each with its table of routes."""

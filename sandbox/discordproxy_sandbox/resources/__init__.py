"""One module per resource of Discord's documentation, each with a table of routes."""

"""The calls of the client, one file per resource."""

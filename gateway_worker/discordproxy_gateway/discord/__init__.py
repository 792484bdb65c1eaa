"""Discord's gateway protocol: the websocket, its events and its failures."""

"""Connections of the clients to the proxy: channels, configuration, retries."""

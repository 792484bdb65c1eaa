"""The gRPC adapter: server, handlers, health, errors on the wire."""

"""The API workers: gRPC in, a permit from the broker, Discord's REST API out."""

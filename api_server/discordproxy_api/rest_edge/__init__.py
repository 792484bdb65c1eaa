"""The REST port: Discord's own HTTP API, served by the pipeline that also serves gRPC."""

"""The API workers: they receive gRPC calls, get permits from the broker, and call Discord's REST API."""

import os

# Callers could cause any number of lines on stderr from gRPC's C library. It reads this variable when it is loaded.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

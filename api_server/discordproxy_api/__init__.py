"""The API workers: gRPC in, a permit from the broker, Discord's REST API out."""

import os

# Callers could make gRPC's C part write any number of lines to stderr. It reads this variable when it is loaded.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

"""The commands `discordproxy` and `discordproxymessage`."""

import os

# A failed connection is reported in one line. gRPC's C library would log more; it reads this when it is loaded.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

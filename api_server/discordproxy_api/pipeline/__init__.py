"""The path of every call around its RPC, independent of the transport."""

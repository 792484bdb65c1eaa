"""What every call passes before and after its RPC, independent of the transport."""

"""The RPCs: from a decoded request to requests to Discord, and back to a response."""

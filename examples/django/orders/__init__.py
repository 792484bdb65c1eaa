"""Orders and their receipts, which are sent as Discord direct messages."""

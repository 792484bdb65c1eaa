"""Orders and their receipts, which customers get as direct messages in Discord."""

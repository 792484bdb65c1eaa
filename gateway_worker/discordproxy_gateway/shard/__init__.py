"""The life of one shard: its lease, its connection, its session."""

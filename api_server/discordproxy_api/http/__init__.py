"""The worker's HTTP port."""

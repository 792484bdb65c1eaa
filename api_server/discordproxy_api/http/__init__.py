"""The HTTP port of a worker: health, metrics, status page."""

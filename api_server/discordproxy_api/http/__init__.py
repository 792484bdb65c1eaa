"""The HTTP servers of a worker: health, metrics and status page for operators; the connections of the REST port."""

"""A lean HTTP/1.1 server connection, built on httptools; the REST port is served by it."""

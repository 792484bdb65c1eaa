"""The process that forks the children, so that they share the memory of the libraries (Linux only)."""

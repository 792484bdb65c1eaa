"""A process that imports the libraries once and forks the children, which share its memory (Linux only)."""

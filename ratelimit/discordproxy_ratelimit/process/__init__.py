"""Common parts of all processes: settings, logs, supervised tasks, private files."""

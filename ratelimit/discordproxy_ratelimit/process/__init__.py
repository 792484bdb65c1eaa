"""What every process needs: settings, logs, supervised tasks, private files."""

"""The generated pages: calls, Python, settings, commands, errors, and tables of other pages."""

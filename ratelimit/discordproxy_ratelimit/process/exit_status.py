"""Exit statuses of all processes; the service managers' configurations in deploy/ rely on them."""

FAILED = 1
"""The task is impossible, and a restart does not help."""

USAGE = 2
"""Wrong arguments or settings."""

BROKEN = 70
"""A process failed repeatedly; a restart may help."""

NOT_YET = 75
"""A dependency is unavailable; a restart helps when it is available."""

CONFIGURATION = 78
"""A supervisor must not restart the process: the operator must change the configuration first."""

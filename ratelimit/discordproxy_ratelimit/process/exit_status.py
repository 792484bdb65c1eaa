"""Exit statuses of all processes; the service managers' configurations in deploy/ rely on them."""

FAILED = 1
"""The task cannot be done, and a restart does not help."""

USAGE = 2
"""Wrong arguments or settings."""

BROKEN = 70
"""A process failed again and again; a restart may help."""

NOT_YET = 75
"""Something outside is missing for now; a restart helps once it is there."""

CONFIGURATION = 78
"""A supervisor must not restart the process: the operator has to change something first."""

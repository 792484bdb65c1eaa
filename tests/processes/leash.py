"""Processes that end with the test run, started in a way that gRPC survives."""

import shutil

_SETPRIV = shutil.which("setpriv")

LEASH = (_SETPRIV, "--pdeathsig", "TERM", "--") if _SETPRIV else ()
"""Put in front of a command, the kernel ends it with this process.

A `preexec_fn` would do the same, but with it Python forks, and gRPC's handlers in the child of a fork use file
descriptors that Python closes: the child then dies before it has become the command. Without it, Python never forks.
"""

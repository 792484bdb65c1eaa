"""A command prefix that ends a process with the test run."""

import shutil

_SETPRIV = shutil.which("setpriv")

END_WITH_PARENT = (_SETPRIV, "--pdeathsig", "TERM", "--") if _SETPRIV else ()
"""A command with this prefix is ended by the kernel when this process ends.

A `preexec_fn` would make Python fork, and gRPC's fork handlers in the child use file descriptors that Python has
closed: the child dies before it executes the command.
"""

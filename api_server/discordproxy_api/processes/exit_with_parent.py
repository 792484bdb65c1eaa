"""Runs a module like `python -m`, and ends the process when its standard input closes.

For systems without a parent-death signal: the supervisor holds the other end of the pipe, which closes however it ends.
Usage: `python -m discordproxy_api.processes.exit_with_parent <module> [argument ...]`
"""

import os
import runpy
import signal
import sys
import threading


def _exit_on_eof() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)  # the module drains as for any stop signal


def main() -> None:
    """Start the watching thread and run the module."""
    threading.Thread(target=_exit_on_eof, name="exit-with-parent", daemon=True).start()
    module = sys.argv[1]
    sys.argv[:] = sys.argv[1:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()

"""Run a module as `python -m` would, but end the process when its standard input closes.

For systems whose kernel sends no signal when a parent dies: the supervisor holds the other end of the pipe, and
however it ends, the pipe closes. `python -m discordproxy_api.processes.leash <module> [argument ...]`
"""

import os
import runpy
import signal
import sys
import threading


def _end_with_input() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)  # the module drains as for any other stop


def main() -> None:
    """Start the watch and become the module."""
    threading.Thread(target=_end_with_input, name="leash", daemon=True).start()
    module = sys.argv[1]
    sys.argv[:] = sys.argv[1:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()

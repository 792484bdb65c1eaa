"""Runs a module under a profile: `python -m bench.speed.profiled_worker MODULE`, as `python -m MODULE` would.

Each line of its standard input is answered by a line of its output: how many Python functions the main thread has
entered since the line before, and how many different ones, in JSON. A coroutine counts each time it is resumed.
"""

import json
import runpy
import sys
import threading
from collections import defaultdict
from types import CodeType, FrameType
from typing import Any

MARK = "entered: "
"""In front of the JSON, since the module prints lines of its own."""

_entered: defaultdict[CodeType, int] = defaultdict(int)


def _profile(frame: FrameType, event: str, _: Any) -> None:
    if event == "call":
        _entered[frame.f_code] += 1


def _report() -> None:
    for _ in sys.stdin:
        seen = dict(_entered)
        _entered.clear()
        print(MARK + json.dumps({"entered": sum(seen.values()), "different": len(seen)}), flush=True)  # noqa: T201


if __name__ == "__main__":
    threading.Thread(target=_report, daemon=True).start()
    module = sys.argv[1]
    sys.argv[:] = sys.argv[1:]
    sys.setprofile(_profile)
    runpy.run_module(module, run_name="__main__", alter_sys=True)

"""Which application makes a client: the name of its top-level package, so that applications need not give one."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_OWN = "discordproxy"


def calling_app() -> str:
    """Return the name of the first package outside this one and Python's library; empty if there is none."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 -- the documented way to look at one's callers
    while frame is not None:
        package = str(frame.f_globals.get("__name__") or "").partition(".")[0]
        if package == "__main__":
            package = _script(frame)
            break
        if package and package != _OWN and package not in sys.stdlib_module_names:
            break
        frame = frame.f_back
    else:
        return ""
    return package if _NAME.fullmatch(package) else ""


def _script(frame: FrameType) -> str:
    """Return the package of `python -m package`, else the file name of the script without its ending."""
    if package := frame.f_globals.get("__package__"):
        return str(package).partition(".")[0]
    file = str(frame.f_globals.get("__file__") or "").replace("\\", "/").rpartition("/")[2]
    return file.rpartition(".")[0] or file

"""The name of the application that creates a client: its top-level package."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_OWN = "discordproxy"


def calling_app() -> str:
    """Return the first calling package outside this one and the standard library; "" if there is none."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 -- the documented way to inspect the callers
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
    """Return the package of `python -m package`, or the file name of the script without its suffix."""
    if package := frame.f_globals.get("__package__"):
        return str(package).partition(".")[0]
    file = str(frame.f_globals.get("__file__") or "").replace("\\", "/").rpartition("/")[2]
    return file.rpartition(".")[0] or file

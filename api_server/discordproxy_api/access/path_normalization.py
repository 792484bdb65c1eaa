"""The one spelling of a path that the rules of operators, the limits and Discord are given. Pure."""

import re
import string

_ENCODED = re.compile(r"%([0-9A-Fa-f]{2})")
_NEEDLESS = frozenset(string.ascii_letters + string.digits + "-._~@")


def plain(path: str) -> str:
    """Return the path without needless percent-encoding: else `/channel%73` would be another route than `/channels`."""
    return _ENCODED.sub(lambda found: char if (char := chr(int(found[1], 16))) in _NEEDLESS else found[0], path)

"""Normalizes paths, so that the operator's rules, the limits and Discord see the same path. Pure."""

import re
import string

_ENCODED = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset(string.ascii_letters + string.digits + "-._~@")


def plain(path: str) -> str:
    """Return the path without redundant percent-encoding, so that `/channel%73` equals `/channels`."""
    return _ENCODED.sub(lambda found: char if (char := chr(int(found[1], 16))) in _UNRESERVED else found[0], path)

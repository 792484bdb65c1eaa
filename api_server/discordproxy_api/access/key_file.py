"""Reads the key file, and again when it changes."""

import logging
from collections.abc import Collection
from pathlib import Path

from discordproxy_api.access.keys import KeyFileError, KeyRing, read_keys
from discordproxy_ratelimit.process.reloading import ReloadedValue, UnusableFileError, grants, read_file

log = logging.getLogger("discordproxy_api.access")

SETTING = "DISCORDPROXY_KEYS_FILE"
_WRITABLE_BY_OTHERS = 0o022


def watch_keys(path: Path, *, rpcs: Collection[str], bots: Collection[str] = ()) -> ReloadedValue[KeyRing]:
    """Return the keys of a file, reloaded when it changes; see `read_key_file`."""
    return ReloadedValue([path], lambda: read_key_file(path, rpcs=rpcs, bots=bots))


def read_key_file(path: Path, *, rpcs: Collection[str], bots: Collection[str] | None = ()) -> KeyRing:
    """Return the keys of a file. Arguments as of `keys.read_keys`.

    Raises:
        UnusableFileError: it cannot be read, or it is invalid.
    """
    try:
        ring = read_keys(read_file(path, SETTING).decode("utf-8-sig"), rpcs=rpcs, bots=bots)
    except UnicodeDecodeError:
        raise UnusableFileError(f"{SETTING}: {str(path)!r} is not a text file") from None
    except KeyFileError as error:
        raise UnusableFileError(f"{SETTING}: {str(path)!r} cannot be used: {error}") from None
    if grants(path, _WRITABLE_BY_OTHERS):
        log.warning("%s can be changed by other users, who could add keys: chmod 600 %s", SETTING, path)
    return ring

"""Private files and folders: no other user can read, prepare or redirect them, with any umask."""

import errno
import os
import stat
from pathlib import Path

PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700
_ALLOWED = (PRIVATE_FILE, 0o640)
"""Modes that a log may keep: log rotators create files that a group may read."""


def open_private(path: str | Path, flags: int) -> int:
    """Open a file for writing and return its descriptor; one that does not exist is created with mode 0600.

    Raises:
        OSError: it cannot be opened, is a symbolic link, or is no regular file.
    """
    flags |= (
        os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    )  # O_NONBLOCK, because opening a pipe would wait for its reader
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
        os.fchmod(descriptor, PRIVATE_FILE)  # the umask may have taken bits away
    except FileExistsError:
        descriptor = _open_existing(path, flags)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return descriptor


def _open_existing(path: str | Path, flags: int) -> int:
    try:
        return os.open(path, flags)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "it is a symbolic link", str(path)) from None
        raise


def open_log(path: str | Path) -> int:
    """Open a file for appending, as `open_private` does; one that others may read becomes private.

    Raises:
        OSError: also if it belongs to another user, who could make it readable.
    """
    descriptor = open_private(path, os.O_WRONLY | os.O_APPEND)
    found = os.fstat(descriptor)
    if found.st_uid != os.getuid():
        os.close(descriptor)
        raise OSError(errno.EPERM, "it belongs to another user", str(path))
    if stat.S_IMODE(found.st_mode) not in _ALLOWED:
        os.fchmod(descriptor, PRIVATE_FILE)
    return descriptor


def is_our_folder(path: Path) -> bool:
    """Return whether this is a folder of this user, or a link to one."""
    try:
        return path.is_dir() and path.stat().st_uid == os.getuid()
    except OSError:
        return False


def can_be_ours(path: Path) -> bool:
    """Return whether this is a folder of this user or does not exist; False for links, files and others' folders."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()

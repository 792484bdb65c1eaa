"""What accompanies a program of the documentation that needs events, ends only by a signal, or is a process."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

from fakes.ports import free_port, free_ports
from processes.end_with_parent import END_WITH_PARENT

GUILD, CHANNEL = "300000000000000001", "500000000000000001"
WITHIN_S = 60.0

PREAMBLE = """\
from discordproxy.client import DiscordClient

client = DiscordClient(timeout=30)
"""
"""The start of a program that uses the client of an earlier block."""


class Program:
    """`with Program(page, code) as program`: a Python program in a process that ends with the block."""

    def __init__(self, page, code):
        self._code = PREAMBLE + code if "client." in code and "client = " not in code else code
        self._page = page
        self.lines = []

    def __enter__(self):
        self._process = subprocess.Popen(
            [*END_WITH_PARENT, sys.executable, "-u", "-c", self._code],
            cwd=self._page.folder,
            env=self._page.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        return self

    def __exit__(self, *_):
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._reader.join()
        self._process.stdout.close()

    def _read(self):
        for line in self._process.stdout:
            self.lines.append(line)

    def succeed(self):
        """Wait for its end."""
        status = self._process.wait(WITHIN_S)
        self._reader.join()
        assert status == 0, "".join(self.lines)

    def until(self, effect, cause=lambda: None):
        """Repeat a cause until its effect is seen: a subscriber may not be ready when the first event happens."""
        deadline = time.monotonic() + WITHIN_S
        while time.monotonic() < deadline and self._process.poll() in {None, 0}:
            cause()
            for _ in range(10):
                if effect():
                    return
                time.sleep(0.05)
        raise AssertionError(f"no effect, status {self._process.poll()}:\n{''.join(self.lines)}")


def as_process(page, code):
    """Run a program as a process of its own."""
    with Program(page, code) as program:
        program.succeed()


def followed_by_an_event(page, code):
    """Run a program that follows events: a message of a user must make it send one or print a line."""
    sent = len(page.server.messages())
    with Program(page, code) as program:

        def cause():
            page.server.control("world", do="write", channel_id=CHANNEL, user_id="200000000000000002", content="!ping")

        program.until(lambda: program.lines or len(page.server.messages()) > sent, cause)
        assert "Traceback" not in "".join(program.lines)


def a_user_clicks(page, code):
    """Run a program that follows interactions: a click on a button must make it print a line."""
    with Program(page, code) as program:

        def cause():
            data = {"custom_id": "shop:ready", "component_type": 2}
            user = "200000000000000002"
            page.server.control("world", do="interact", channel_id=CHANNEL, user_id=user, kind=3, data=data)

        program.until(lambda: program.lines, cause)
        assert "Traceback" not in "".join(program.lines)


def member_joins(page, code):
    """Run a program that welcomes new members."""
    sent = len(page.server.messages())
    with Program(page, code) as program:

        def cause():
            user = page.server.control("world", do="add_user", name="newcomer")["result"]
            user_id = user["id"] if isinstance(user, dict) else user
            page.server.control("world", do="join", guild_id=GUILD, user_id=user_id)

        program.until(lambda: len(page.server.messages()) > sent, cause)


def starts_a_server(page, code):
    """Run a command that ends by a signal only, until it is ready."""
    with contextlib.closing(BackgroundServer(page, code, new_ports())):
        pass


def starts_a_server_for_the_page(page, code):
    """Run a server for the rest of the page."""
    ports = new_ports()
    page.opened.append(BackgroundServer(page, code, ports))
    page.ports = ports


def new_ports():
    return {"grpc": free_port(), "rest": free_port(), "sandbox": free_port(), "http": free_ports(2)[0]}


class BackgroundServer:
    """A server in the folder of a page, on its own ports."""

    def __init__(self, page, code, ports):
        self._process = subprocess.Popen(
            [*END_WITH_PARENT, "bash", "-c", page.with_ports(code, ports)],
            cwd=page.folder,
            env=page.environment | settings_of(ports),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        lines = []
        for line in self._process.stdout:
            lines.append(line)
            if "is ready" in line or "is running" in line:
                break
        self._reader = threading.Thread(target=self._process.stdout.read)
        self._reader.start()
        if self._process.poll() is not None:
            self.close()
            raise AssertionError("".join(lines))

    def close(self):
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait(60)
        self._reader.join()
        self._process.stdout.close()


def settings_of(ports):
    """Return the environment of a server on other ports than the usual ones."""
    return {
        "DISCORDPROXY_PORT": str(ports["grpc"]),
        "SANDBOX_PORT": str(ports["sandbox"]),
    }


def write_settings(page, code):
    """Write a block of settings to the file that the server reads; the token is left out."""
    lines = [line for line in page.with_ports(code, new_ports()).splitlines() if "TOKEN=" not in line]
    (page.folder / ".env").write_text("\n".join(lines) + "\n")


def under_gevent(page, code):
    """Run a program in a process that gevent has patched."""
    as_process(page, f"from gevent import monkey\n\nmonkey.patch_all()\n{code}\n{PREAMBLE}client.get_current_user()\n")


ALL = {
    "a process": as_process,
    "events": followed_by_an_event,
    "a click": a_user_clicks,
    "a new member": member_joins,
    "a server": starts_a_server,
    "a server that stays": starts_a_server_for_the_page,
    "settings": write_settings,
    "gevent": under_gevent,
}

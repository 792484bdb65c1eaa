import asyncio
import os
import re
import signal
import sys

import pytest

from discordproxy_sandbox.__main__ import main


async def run(*arguments: str, **environment: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "discordproxy_sandbox",
        *arguments,
        env=os.environ | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def test_it_says_how_to_use_it_and_ends_on_a_signal(http):
    process = await run("--port", "0", "--verbose", "--guilds", "2", "--members", "10", SANDBOX_TOKEN="secret")
    text = b""
    while b"discordproxyserver" not in text:
        text += await asyncio.wait_for(process.stdout.readline(), 60)
    welcome = text.decode()
    assert "secret" not in welcome
    rest_url = re.search(r"DISCORDPROXY_DISCORD_URL=(\S+)", welcome)[1]
    channel_id = re.search(r"channel +(\d+) +#general", welcome)[1]
    async with http.post(f"{rest_url}/channels/{channel_id}/messages", json={"content": "private words"}) as response:
        assert response.status == 200
    async with http.get(f"{rest_url}/users/@me/guilds") as response:
        assert len(await response.json()) == 3
    process.send_signal(signal.SIGTERM)
    rest, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0
    assert f"200 POST /channels/{channel_id}/messages" in rest.decode()
    assert "private words" not in rest.decode()
    assert errors == b""


@pytest.mark.parametrize(
    ("arguments", "environment", "name"),
    [
        (["--port", "x"], {}, "SANDBOX_PORT"),
        ([], {"SANDBOX_KIND": "square"}, "SANDBOX_KIND"),
        (["--latency-s", "-1"], {}, "SANDBOX_LATENCY_S"),
    ],
)
def test_wrong_settings_are_one_line_and_status_2(arguments, environment, name, monkeypatch, capsys):
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    assert main(arguments) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert errors.startswith(name)


async def test_a_taken_port_is_one_line(discord):
    process = await run("--port", str(discord.port))
    _, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 1
    assert errors.decode() == (
        f"Cannot listen on 127.0.0.1:{discord.port}: Address already in use; choose another --port\n"
    )

import asyncio
import os
import re
import signal
import sys

import aiohttp
import pytest

from discordproxy_sandbox.__main__ import main
from fakes.eventually import eventually
from fakes.ports import free_port


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


async def test_it_prints_its_usage_and_ends_on_a_signal(http):
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


async def test_it_survives_a_closed_output(http):
    reading, writing = os.pipe()
    os.close(reading)
    port = free_port()
    command = (sys.executable, "-m", "discordproxy_sandbox", "--port", str(port), "--verbose")
    process = await asyncio.create_subprocess_exec(*command, stdout=writing)
    os.close(writing)

    async def answers() -> bool:
        try:
            async with http.get(f"http://127.0.0.1:{port}/api/v10/users/@me/guilds") as response:
                return response.status == 200
        except aiohttp.ClientConnectionError:
            return False

    await eventually(answers)
    assert await answers(), "also after the first line could not be printed"
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 60) == 0


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

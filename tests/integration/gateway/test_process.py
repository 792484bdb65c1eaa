"""The process itself: exit status, the one line, parking, hand-over on a signal."""

import asyncio
import signal

from discordproxy_gateway.cache import read_state
from fakes.eventually import eventually
from fakes.gateway import TOKEN

BAD = "MTAwMDAwMDAwMDAwMDAwMDAx.y.not-a-good-one"


async def test_a_bad_token_is_one_line_and_status_78(spawn):
    process = await spawn(DISCORD_BOT_TOKEN=BAD)
    out, error = (text.decode() for text in await process.communicate())
    assert process.returncode == 78
    assert error.count("ERROR:") == 1
    assert "DISCORD_BOT_TOKEN" in error
    assert "Traceback" not in error
    assert BAD not in out + error


async def test_it_can_be_stopped_while_it_waits_for_redis(spawn):
    connected = asyncio.Event()

    async def never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(never_answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        process = await spawn(DISCORDPROXY_REDIS_URL=f"redis://127.0.0.1:{port}?socket_timeout=60")
        await connected.wait()
        process.send_signal(signal.SIGTERM)
        _, error = await process.communicate()
        assert process.returncode == 0
        assert b"ERROR" not in error


async def test_parked_it_stays_up_without_connecting(spawn, discord, redis, keys):
    discord.identify_answer = 4014
    process = await spawn("--park-on-fatal", DISCORDPROXY_INTENTS="guilds,members,presences")
    async for line in process.stderr:
        if b"ERROR:" in line:
            break
    assert b"'Server Members Intent', 'Presence Intent'" in line
    assert process.returncode is None

    async def told() -> bool:
        return "runs but cannot log in: Discord disallows" in (await read_state(redis, keys)).login_problem

    await eventually(told)
    process.send_signal(signal.SIGTERM)
    await process.communicate()
    assert process.returncode == 0
    assert discord.seen["identifies"] == 1


async def test_sigterm_hands_over(spawn, discord, redis, keys):
    process = await spawn()
    await discord.until(lambda: discord.live)
    process.send_signal(signal.SIGTERM)
    _, error = await process.communicate()
    assert process.returncode == 0
    assert discord.close_codes == [4000]
    assert TOKEN not in error.decode()


async def test_a_wrong_intent_names_the_variable(spawn):
    process = await spawn(DISCORDPROXY_INTENTS="guilds,membrs")
    _, error = await process.communicate()
    assert process.returncode == 2
    assert b"DISCORDPROXY_INTENTS" in error
    assert b"membrs" in error
    assert error.count(b"\n") == 1

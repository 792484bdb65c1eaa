"""Leadership, hand-over and reconnects of a whole worker."""

import pytest

from discordproxy_gateway.discord.failures import FatalError
from discordproxy_gateway.keys import Slot
from fakes.eventually import eventually

SLOT = Slot(0, 1)


async def stored(redis, key) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in (await redis.hgetall(key)).items()}


async def has(redis, key, **fields: str) -> bool:
    return fields.items() <= (await stored(redis, key)).items()


async def test_connects_reports_and_hands_over(start, discord, redis, keys):
    worker = start()
    await discord.until(lambda: discord.live)
    session = discord.live[0]

    await discord.emit("TYPING_START", {"guild_id": "1"})
    await eventually(lambda: has(redis, keys.session(SLOT), seq="2"))
    await eventually(lambda: has(redis, keys.status(SLOT), state="ready", fence="1"))
    assert await redis.exists(keys.lease(SLOT))

    await worker.stop()
    assert discord.close_codes == [4000]
    assert not await redis.exists(keys.lease(SLOT))
    assert (await stored(redis, keys.status(SLOT)))["state"] == "stopped"
    assert session.id in discord.sessions
    assert discord.seen["identifies"] == 1


async def test_a_successor_resumes(start, discord, redis, keys):
    first = start()
    await eventually(lambda: has(redis, keys.session(SLOT), seq="1"))  # before that there is nothing to resume
    await first.stop()
    await discord.emit("TYPING_START", {"guild_id": "1"})

    second = start()
    await discord.until(lambda: discord.seen["resumes"] == 1 and discord.live)
    await second.stop()
    assert discord.seen["identifies"] == 1


async def test_a_standby_waits_and_takes_over(start, discord):
    first = start()
    await discord.until(lambda: discord.live)
    start()
    await discord.until(lambda: discord.seen["logins"] == 2)
    await discord.emit("TYPING_START", {"guild_id": "1"})
    assert discord.seen["connections"] == 1
    await first.stop()
    await discord.until(lambda: discord.seen["resumes"] == 1)
    assert discord.seen["identifies"] == 1


async def test_a_bad_token_is_fatal_and_not_tried_again(start, discord):
    with pytest.raises(FatalError, match="DISCORD_BOT_TOKEN") as failure:
        await start(token="MTAwMDAwMDAwMDAwMDAwMDAx.y.wrong").task
    assert "wrong" not in str(failure.value).replace("it is wrong", "")
    with pytest.raises(FatalError, match="not retried"):
        await start(token="MTAwMDAwMDAwMDAwMDAwMDAx.y.wrong").task
    assert discord.seen["logins"] == 1


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (4004, "DISCORD_BOT_TOKEN"),
        (4010, "DISCORDPROXY_SHARDS"),
        (4011, "DISCORDPROXY_SHARDS"),
        (4012, "upgrade"),
        (4013, "DISCORDPROXY_INTENTS"),
        (4014, "Server Members Intent"),
    ],
)
async def test_a_fatal_close_code_ends_with_the_fix(start, discord, redis, keys, code, words):
    discord.identify_answer = code
    with pytest.raises(FatalError, match=words):
        await start().task
    assert words in (await stored(redis, keys.status(SLOT)))["reason"]
    with pytest.raises(FatalError, match="not retried"):
        await start().task
    assert discord.seen["identifies"] == 1
    assert not await redis.exists(keys.lease(SLOT))

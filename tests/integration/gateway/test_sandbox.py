"""The worker against the sandbox, which knows nothing of it and judges as strictly as Discord."""

import asyncio

import pytest

from discordproxy_gateway.cache import MemberReader, Slot
from discordproxy_gateway.options import GatewayOptions
from discordproxy_gateway.worker import GatewayWorker
from discordproxy_sandbox.sandbox import Sandbox, SandboxConfig
from discordproxy_sandbox.world.population import CHANNEL_ID, GUILD_ID, ROLE_ID, THREAD_ID, add_guilds
from fakes.eventually import eventually
from fakes.gateway import TOKEN

INTENTS = ("guilds", "members", "expressions", "voice_states", "messages")
MEMBERS = 2500


@pytest.fixture
async def sandbox():
    async with Sandbox(SandboxConfig()) as sandbox:
        sandbox.big = [int(guild_id) for guild_id in add_guilds(sandbox.world, 4, MEMBERS)]
        yield sandbox


@pytest.fixture
async def worker(sandbox, redis, keys):
    stopping = asyncio.Event()
    options = GatewayOptions(rest_url=sandbox.rest_url, intents=INTENTS)
    task = asyncio.create_task(GatewayWorker(redis, keys, TOKEN, options).run(stopping))
    yield task
    stopping.set()
    await task


async def complete(members: MemberReader, guild_id: int) -> bool:
    answer = await members.members(guild_id, limit=1)
    return bool(answer.freshness and answer.freshness.complete)


async def test_the_whole_world_is_cached_and_follows(worker, sandbox, reader, members):
    for guild_id in sandbox.big:
        await eventually(lambda guild_id=guild_id: complete(members, guild_id), within_s=20)
        listed = (await members.members(guild_id, limit=10_000)).value
        assert [each["user"]["id"] for each in listed] == sorted(sandbox.world.guilds[str(guild_id)].members, key=int)
    guilds = await reader.guilds()
    assert guilds.freshness.complete
    assert {each["id"] for each in guilds.value} == set(sandbox.world.guilds)

    home = next(int(guild_id) for guild_id in sandbox.world.guilds if int(guild_id) not in sandbox.big)
    await eventually(lambda: complete(members, home))
    newcomer = sandbox.people.add("newcomer")["id"]
    sandbox.people.join(home, newcomer)

    async def joined(nick: str | None = None) -> bool:
        found = (await members.member(home, int(newcomer))).value
        return found is not None and found["nick"] == nick

    await eventually(joined)
    sandbox.people.edit_member(home, newcomer, {"nick": "Newbie"})
    await eventually(lambda: joined("Newbie"))
    sandbox.people.leave(home, newcomer)

    async def left() -> bool:
        answer = await members.member(home, int(newcomer))
        return answer.value is None and answer.usable(60)

    await eventually(left)
    shown = {each["id"] for each in [*(await reader.channels(home)).value, *(await reader.threads(home)).value]}
    guild = sandbox.world.guilds[str(home)]
    assert shown == {channel.id for channel in [*guild.plain_channels(), *guild.active_threads()]}
    assert sandbox.gateway.stats.violations == []
    assert sandbox.gateway.stats.members_rate_limited == 0


async def test_dropped_connections_are_resumed(worker, sandbox, redis, keys):
    await eventually(lambda: sandbox.gateway.stats.connections == 1)
    for rounds in range(1, 4):
        await eventually(lambda: redis.exists(keys.session(Slot(0, 1))))
        sandbox.gateway.drop()
        await eventually(lambda rounds=rounds: sandbox.gateway.stats.resumes == rounds)
    assert sandbox.gateway.stats.identifies == 1
    assert sandbox.gateway.stats.max_connections == 1
    assert sandbox.gateway.stats.violations == []


async def test_a_channel_that_is_hidden_for_a_while_is_in_no_answer_meanwhile(worker, sandbox, reader):
    world = sandbox.world
    channel = world.channels[CHANNEL_ID]

    async def shown() -> bool:
        found = await asyncio.gather(reader.channel(int(CHANNEL_ID)), reader.channel(int(THREAD_ID)))
        listed = await reader.channels(int(GUILD_ID))
        names = [each["name"] for each in listed.value or ()]
        return [each.usable(60) for each in found] == [True, True] and channel.data["name"] in names

    async def gone() -> bool:
        found = await asyncio.gather(reader.channel(int(CHANNEL_ID)), reader.channel(int(THREAD_ID)))
        names = [each["name"] for each in (await reader.channels(int(GUILD_ID))).value]
        return (
            not any(each.usable(60) for each in found)
            and len(names) == 5
            and not any("hidden" in each for each in names)
        )

    await eventually(shown)
    channel.data["permission_overwrites"] = [{"id": GUILD_ID, "type": 0, "allow": "0", "deny": "1024"}]
    member = world.guilds[GUILD_ID].members.get(world.bot_id)
    for roles, condition in (([], gone), ([ROLE_ID], shown)):  # the role makes it an administrator
        member["roles"] = roles
        world.emit("GUILD_MEMBER_UPDATE", world.member(GUILD_ID, world.bot_id) | {"guild_id": GUILD_ID}, GUILD_ID)
        await eventually(condition)

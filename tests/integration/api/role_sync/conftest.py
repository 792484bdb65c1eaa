"""Role synchronization: API workers, a gateway worker, a Valkey and a local Discord in this process."""

import asyncio
import contextlib

import pytest

from discordproxy_api.role_sync.writing import MemberRoleWriter
from fakes.eventually import eventually
from integration.api.role_sync.helpers import Syncs, is_cached
from processes.cluster import cluster
from strategies.guild_roles import role_world

MEMBERS, ROLES = 300, 12


@pytest.fixture
def hold_writes(monkeypatch):
    """An event; until it is set, no member is changed."""
    may_write = asyncio.Event()
    write = MemberRoleWriter.write

    async def held(writer, change, call):
        await may_write.wait()
        return await write(writer, change, call)

    monkeypatch.setattr(MemberRoleWriter, "write", held)
    return may_write


@pytest.fixture
def guild_of(valkey, key_prefix):
    """Start a proxy for a guild: `async with guild_of(role_world(...), gateway=False) as syncs`."""

    @contextlib.asynccontextmanager
    async def start(made=None, *, url=valkey, gateway=True, intents=None, gateway_config=None, **options):
        made = made or role_world(MEMBERS, ROLES, wrong_share=0.2, absent=3)
        async with cluster(url, key_prefix, world=made.world, gateway=gateway_config, **options) as whole:
            if gateway:
                await whole.start_gateway(**({"intents": intents} if intents else {}))
                if intents is None or "members" in intents:
                    await eventually(lambda: is_cached(whole.stubs[0], made.guild_id), within_s=60)
            yield Syncs(made, whole, len(whole.discord.ledger.records))

    return start

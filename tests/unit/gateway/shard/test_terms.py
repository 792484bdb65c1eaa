import asyncio
import warnings
from types import SimpleNamespace
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # discord.py imports audioop
    import discord as _  # noqa: F401

from discordproxy_gateway.keys import Slot
from discordproxy_gateway.shard.shard import Shard
from fakes.virtual_time import VirtualClock, run


def test_leases_that_are_lost_at_once_follow_each_other_slowly(monkeypatch):
    terms = 0

    async def acquire() -> Any:
        return object()

    async def lost(*_: Any) -> None:
        nonlocal terms
        terms += 1

    async def a_minute() -> None:
        election: Any = SimpleNamespace(slot=Slot(), acquire=acquire)
        nothing: Any = None
        shard = Shard(nothing, election)
        stopping = asyncio.Event()
        asyncio.get_running_loop().call_later(60, stopping.set)
        await shard.run(stopping)

    monkeypatch.setattr(Shard, "_lead", lost)
    run(a_minute(), VirtualClock())
    assert 50 <= terms <= 61

"""How fast member lists are requested, in virtual time."""

import asyncio
from typing import Any

from discordproxy_gateway.plan.member_operations import GuildState, MemberRequest
from discordproxy_gateway.shard.chunking import BURST, PER_MINUTE, Chunker
from fakes.virtual_time import TickingClock, run


class Nobody:
    """A Redis in which no reader has asked for a list."""

    async def zpopmin(self, *_: Any) -> list[Any]:
        return []


class Sending:
    def __init__(self) -> None:
        self.times: list[float] = []

    async def request_chunks(self, *_: Any, **__: Any) -> None:
        self.times.append(asyncio.get_running_loop().time())


def test_never_more_than_a_hundred_requests_in_any_minute():
    async def story() -> list[float]:
        guilds = {str(number): GuildState(current=True, size=number) for number in range(1, 400)}

        def request(guild_id: str, nonce: str) -> None:
            guilds[guild_id].request = MemberRequest(nonce)

        socket: Any = Sending()
        redis: Any = Nobody()
        requesting = asyncio.create_task(Chunker(redis, "", guilds, request).run(socket))
        await asyncio.sleep(180)
        requesting.cancel()
        return socket.times

    times = run(story(), TickingClock())
    busiest = max(sum(start <= at < start + 60 for at in times) for start in times)
    assert busiest <= BURST + PER_MINUTE
    assert times[BURST - 1] - times[0] < 0.1, "the burst goes at once"
    assert abs(len(times) - (BURST + 3 * PER_MINUTE)) <= 3

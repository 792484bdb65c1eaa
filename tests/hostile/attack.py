"""One attack in a process of its own, so that the attacker's CPU time does not delay the callers.

PYTHONPATH=tests python -m hostile.attack <kind> <port> <count> <seconds to hold> <guild> <seed>
"""

import asyncio
import random
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from discordproxy.discord_api_pb2 import SendChannelMessageRequest
from hostile import attacks
from hostile.frames import HELLO
from hostile.http_requests import hostile_requests, shuffled

VALID = [
    ("SendChannelMessage", SendChannelMessageRequest(channel_id=1, content="x" * 50).SerializeToString()),
    ("EditGuildMember", b"\x08\x01\x10\x02\x1a\x01x"),
    ("Request", b"\x0a\x03GET\x12\x0a/users/123"),
]


@dataclass(frozen=True)
class Orders:
    """Target and amount of an attack. `hold_s`: how long connections are held, or read from."""

    port: int
    count: int
    hold_s: float
    guild: int
    rng: random.Random


async def fuzz(orders: Orders) -> Counter[str]:
    return await attacks.fuzzed_requests(orders.port, orders.count, orders.rng, valid=VALID)


async def oddities(orders: Orders) -> str:
    done = 0
    for _ in range(orders.count):
        sends = [attacks.send_raw(orders.port, data, patience_s=orders.hold_s) for data in attacks.oddities(orders.rng)]
        await asyncio.gather(*sends)
        done += len(sends)
    return f"{done} connections"


async def huge(orders: Orders) -> Counter[str]:
    return await attacks.huge_messages(orders.port, orders.count)


async def slow_writers(orders: Orders) -> str:
    return await _hold(orders, attacks.slow_writer())


async def slow_readers(orders: Orders) -> str:
    return await _hold(orders, attacks.slow_reader(orders.guild), read=False)


async def idle(orders: Orders) -> str:
    return await _hold(orders, HELLO)


async def keyless_huge(orders: Orders) -> Counter[str]:
    return await attacks.huge_messages(orders.port, orders.count, 31 * attacks.MIB, method=attacks.BEFORE_THE_KEY[1])


async def bombs(orders: Orders) -> str:
    return await _hold(orders, attacks.bombs(10))


async def watchers(orders: Orders) -> str:
    return await _hold(orders, attacks.watchers(2_000))


async def deaf_watchers(orders: Orders) -> str:
    return await _hold(orders, attacks.watchers(2_000), read=False)


async def half_bodies(orders: Orders) -> str:
    return await _hold(orders, attacks.half_body(), answered=False)


async def half_chunks(orders: Orders) -> str:
    return await _hold(orders, attacks.half_chunks(), answered=False)


async def gzip_bodies(orders: Orders) -> str:
    return await _hold(orders, attacks.gzip_body(), answered=False)


async def unread_answers(orders: Orders) -> str:
    return await _hold(orders, attacks.unread_answers(orders.guild), read=False)


async def huge_bodies(orders: Orders) -> Counter[str]:
    return await attacks.huge_bodies(orders.port, orders.count, 31 * attacks.MIB)


async def http_oddities(orders: Orders) -> str:
    """Send each hostile request, also cut off and with random bytes behind it."""
    done = 0
    for _ in range(orders.count):
        requests = list(hostile_requests("/api/v10/channels/1/messages", "Bot dpk_hostile", "hostile"))
        data = shuffled([each for each in requests if len(each.data) < attacks.MIB], orders.rng)
        await asyncio.gather(*(attacks.send_raw(orders.port, each, patience_s=orders.hold_s) for each in data))
        done += len(data)
    return f"{done} connections"


async def half_requests(orders: Orders) -> str:
    return await _hold(orders, attacks.half_request(orders.rng), answered=False)


async def _hold(orders: Orders, data: bytes, *, read: bool = True, answered: bool = True) -> str:
    async with attacks.open_connections(orders.port, orders.count, data, read=read, answered=answered) as taken:
        await asyncio.sleep(orders.hold_s)
        return f"{taken} taken"


KINDS: dict[str, Callable[[Orders], Awaitable[object]]] = {
    each.__name__: each
    for each in (
        *(fuzz, oddities, huge, slow_writers, slow_readers, idle),
        *(keyless_huge, bombs, watchers, deaf_watchers, half_requests),
        *(half_bodies, half_chunks, gzip_bodies, unread_answers, huge_bodies, http_oddities),
    )
}


if __name__ == "__main__":
    kind, port, count, hold_s, guild, seed = sys.argv[1:]
    orders = Orders(int(port), int(count), float(hold_s), int(guild), random.Random(seed))
    print(asyncio.run(KINDS[kind](orders)))  # noqa: T201 - its result

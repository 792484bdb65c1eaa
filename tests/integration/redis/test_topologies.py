"""The ways a Redis can be deployed, each with real servers: limits hold across workers, and a lost master is survived.

`make test-redis TOPOLOGY=cluster` runs all of the broker's and the gateway's tests against one of them.
"""

import asyncio
import os
from collections.abc import Callable

import pytest

from discordproxy_ratelimit.broker import Limits
from discordproxy_sandbox.limits.limits import FixedWindow
from fakes.eventually import eventually
from processes.fleet import Fleet, fleet
from processes.redis_servers import SHAPES, Cluster, Servers, Watched, running, system_redis
from strategies.discord_limits import FakeDiscord, message_in

PATIENCE_S = 60.0

pytestmark = pytest.mark.skipif("TOPOLOGY" in os.environ, reason="each test here has servers of its own")


@pytest.fixture
def made(valkey_binary: str) -> Callable[[str], Servers]:
    return lambda shape: SHAPES[shape](system_redis() if shape in {"redis70", "tls"} else valkey_binary)


async def sends(workers: Fleet, count: int) -> list[int]:
    return list(await asyncio.gather(*(workers.send(n % 2, message_in(n % 3)) for n in range(count))))


@pytest.mark.parametrize("shape", ["redis70", "tls"])
async def test_workers_share_limits(made: Callable[[str], Servers], shape: str) -> None:
    discord = FakeDiscord(limiter=lambda _: FixedWindow(5, 0.5))
    with running(made(shape)) as servers:
        async with fleet(servers.url, discord, 2, clock=None, prefix="dp") as workers:
            assert await sends(workers, 30) == [200] * 30
    assert discord.too_many == []


@pytest.mark.parametrize("shape", ["cluster", "sentinel"])
async def test_workers_share_limits_and_a_lost_master_costs_a_pause_and_no_message(
    valkey_binary: str, shape: str
) -> None:
    discord = FakeDiscord(limiter=lambda _: FixedWindow(5, 0.5))
    servers = Cluster(valkey_binary, replicas=True) if shape == "cluster" else Watched(valkey_binary)
    with running(servers):
        async with fleet(servers.url, discord, 2, clock=None, limits=Limits(lease_s=2.0), prefix="dp") as workers:
            assert await sends(workers, 30) == [200] * 30
            before = workers.brokers[0]._link.run_id
            lost = servers.holder("{dp:1}") if isinstance(servers, Cluster) else servers.master
            servers.nodes[lost].stop()
            # A call that Redis cannot grant was not sent, and says so; a worker that stands still would be the failure.
            await asyncio.gather(*(sends(workers, 6) for _ in range(3)), return_exceptions=True)
            await eventually(lambda: workers.brokers[0].is_up and workers.brokers[1].is_up, within_s=PATIENCE_S)
            arrived = len(discord.arrivals)
            assert await sends(workers, 12) == [200] * 12
            assert len(discord.arrivals) == arrived + 12
            assert workers.brokers[0]._link.run_id != before, "it is known that this server may have forgotten"
    assert discord.too_many == []

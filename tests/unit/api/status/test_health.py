"""How soon a worker notices that it can serve, or cannot."""

import asyncio
import contextlib

from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.status.health import Health
from fakes.virtual_time import EPOCH_S, VirtualClock, run


def test_a_worker_that_is_not_ready_looks_again_soon():
    clock = VirtualClock()
    looks: list[float] = []

    async def probe() -> bool:
        looks.append(round(clock.now - EPOCH_S, 1))
        return len(looks) > 2

    async def story() -> None:
        health = Health({"broker": probe}, Metrics())
        looking = asyncio.create_task(health.run())
        await asyncio.sleep(2.5)
        assert health.ready
        looking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await looking

    run(story(), clock)
    assert looks == [0.0, 0.2, 0.4, 1.4, 2.4]

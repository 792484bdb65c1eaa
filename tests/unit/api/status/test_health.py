"""How soon a worker notices that it can serve, or cannot."""

import asyncio
import contextlib
import itertools

from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.status.health import STARTING, Health
from fakes.virtual_time import EPOCH_S, VirtualClock, run


def test_a_worker_that_is_not_ready_looks_again_soon():
    clock = VirtualClock()
    looks: list[float] = []

    async def probe() -> bool:
        looks.append(round(clock.now - EPOCH_S, 2))
        return 2 < len(looks) < STARTING or len(looks) > STARTING + 2

    async def story() -> None:
        health = Health({"broker": probe}, Metrics())
        looking = asyncio.create_task(health.run())
        await asyncio.sleep(20.5)
        assert health.ready
        looking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await looking

    run(story(), clock)
    pauses_s = [round(after - before, 2) for before, after in itertools.pairwise(looks)]
    assert pauses_s[:4] == [0.02, 0.02, 1.0, 1.0]
    assert pauses_s[STARTING - 2 : STARTING + 3] == [1.0, 0.02, 0.2, 0.2, 1.0]


def test_services_that_calls_do_not_need_are_probed_less_often_while_they_are_up():
    clock = VirtualClock()
    up = True
    probed: list[float] = []

    async def broker() -> bool:
        return True

    async def gateway() -> bool:
        probed.append(round(clock.now - EPOCH_S, 1))
        return up

    async def story() -> None:
        nonlocal up
        health = Health({"broker": broker, "gateway": gateway}, Metrics())
        probing = asyncio.create_task(health.run())
        await asyncio.sleep(3.5)
        up = False
        await asyncio.sleep(3.0)
        assert (health.ready, health.states["gateway"]) == (True, False)
        up = True
        await asyncio.sleep(2.0)
        assert health.states["gateway"]
        probing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await probing

    run(story(), clock)
    assert probed == [0.0, 3.0, 6.0, 7.0]

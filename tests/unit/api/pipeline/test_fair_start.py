import asyncio

from discordproxy_api.pipeline.fair_start import FairStart


async def turn(fair_start: FairStart, connection: str) -> None:
    waiting = fair_start.turn(connection)
    if waiting is not None:
        await waiting


async def test_few_calls_start_at_once():
    fair_start = FairStart(at_once=2)
    for _ in range(5):
        assert [fair_start.turn("a") for _ in range(2)] == [None, None]
        await asyncio.sleep(0)
        await asyncio.sleep(0)


async def test_a_crowd_on_one_connection_does_not_delay_another():
    fair_start, order = FairStart(at_once=2), []

    async def call(connection, number):
        await turn(fair_start, connection)
        order.append((connection, number))

    crowd = [asyncio.ensure_future(call("crowd", number)) for number in range(100)]
    await asyncio.sleep(0)
    others = [asyncio.ensure_future(call(name, 0)) for name in ("a", "b")]
    await asyncio.gather(*crowd, *others)
    assert [number for name, number in order if name == "crowd"] == list(range(100))
    assert all(order.index((name, 0)) < 8 for name in ("a", "b"))


async def test_cancelled_calls_are_skipped():
    fair_start = FairStart(at_once=1)
    calls = [asyncio.ensure_future(turn(fair_start, "a")) for _ in range(50)]
    await asyncio.sleep(0)
    for call in calls[1:-1]:
        call.cancel()
    await asyncio.wait_for(calls[-1], 60)
    await asyncio.gather(*calls, return_exceptions=True)
    await asyncio.wait_for(turn(fair_start, "a"), 60)

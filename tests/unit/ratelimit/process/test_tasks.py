"""Supervised work is restarted after every end."""

import asyncio
import contextlib
import itertools

import pytest

from discordproxy_ratelimit.process.tasks import HEALTHY_S, MAX_PAUSE_S, BackgroundTasks, steadily
from fakes.virtual_time import EPOCH_S, VirtualClock, run


def test_work_that_ends_is_named_and_starts_again_after_longer_and_longer_pauses(caplog):
    clock = VirtualClock()
    began: list[float] = []

    async def work() -> None:
        began.append(clock.now - EPOCH_S)
        match len(began):
            case 1:
                raise ValueError("an odd record")
            case 2:
                return
            case 12:
                await asyncio.sleep(HEALTHY_S + 1)
            case 14:
                await asyncio.Event().wait()
        raise KeyError

    async def story() -> None:
        task = asyncio.create_task(steadily(work, "the work"))
        await asyncio.sleep(1000)
        assert not task.done()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert task.cancelled()

    run(story(), clock)
    assert len(began) == 14
    pauses = [round(later - earlier, 1) for earlier, later in itertools.pairwise(began)]
    assert pauses[:3] == [0.1, 0.2, 0.4]
    assert max(pauses[:11]) == MAX_PAUSE_S
    assert pauses[11:] == [HEALTHY_S + 1.1, 0.2]
    assert "the work failed" in caplog.text
    assert "an odd record" in caplog.text
    assert "the work ended" in caplog.text


def test_work_that_may_end_is_not_started_again(caplog):
    starts: list[float] = []

    async def work() -> None:
        starts.append(asyncio.get_running_loop().time())
        if len(starts) < 3:
            raise LookupError

    run(steadily(work, "the work", until_done=True, first_pause_s=5.0), VirtualClock())
    assert [round(later - earlier) for earlier, later in itertools.pairwise(starts)] == [5, 10]
    assert "ended" not in caplog.text


def test_a_fatal_error_is_raised():
    async def work() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        run(steadily(work, "the work", fatal=(LookupError,)), VirtualClock())


def test_background_tasks_outlive_their_callers_and_are_waited_for(caplog):
    events: list[str] = []

    async def work(tasks: BackgroundTasks) -> None:
        await asyncio.sleep(1)
        tasks.start(last())
        events.append("worked")
        raise KeyError

    async def last() -> None:
        await asyncio.sleep(1)
        events.append("last")

    async def story() -> None:
        tasks = BackgroundTasks()
        caller = asyncio.create_task(wait(tasks))
        await asyncio.sleep(0.5)
        caller.cancel()
        tasks.start(asyncio.sleep(1)).cancel()
        await tasks.finish()
        assert events == ["worked", "last"]

    async def wait(tasks: BackgroundTasks) -> None:
        await asyncio.shield(tasks.start(work(tasks)))

    run(story(), VirtualClock())
    assert not caplog.records

"""Minimal stories of former failures."""

from typing import Any

from model.ratelimit_bucket import MINUTE, SECOND
from model.ratelimit_steps import (
    Acquire,
    Adopt,
    Again,
    Call,
    Cancel,
    Complete,
    Moves,
    Pass,
    Repeat,
    Restart,
    Restore,
    Says,
    Serve,
    Sign,
)


def call(*happens: Any, worker: int = 0) -> Call:
    return Call(worker, happens)


FIRST_TWO_ROUTES_ARE_KNOWN = (
    call(Acquire(0)),
    call(Complete(0)),
    call(Acquire(1)),
    call(Complete(0)),
    Pass(4 * SECOND),
)
STORIES: dict[str, tuple[Any, ...]] = {
    "the only call that waits is cancelled": (call(Acquire(0)), call(Acquire(0)), call(Cancel(1)), call(Acquire(0))),
    "a place is given back in the step that turns it into a permit of another bucket": (
        call(Acquire(0), Acquire(0), Acquire(0)),
        call(Complete(0), Cancel(1)),
        call(Serve(0)),
    ),
    "the heads of two lanes of one bucket came within one step": (
        *FIRST_TWO_ROUTES_ARE_KNOWN,
        call(*[Acquire(0, flags=("ordered",))] * 2, *[Acquire(1, flags=("ordered",))] * 2),
        call(Serve(2), Serve(3)),
        call(Complete(0), Complete(1)),
        call(Serve(0)),
        call(Serve(1)),
    ),
    "a route that waits for a bucket moves to another one": (
        *FIRST_TWO_ROUTES_ARE_KNOWN,
        call(*[Acquire(0)] * 3),
        call(Acquire(0)),
        call(Acquire(1)),
        Moves(0, 2),
        call(Complete(0)),
        call(Complete(0), Complete(1)),
        call(Serve(0), Serve(1)),
    ),
    "each lane of a route has a hash of its own": (
        Moves(0, 0, 0),
        Moves(0, 2, 1),
        call(Acquire(0, 0), Acquire(0, 1)),
        Pass(50_000),
        call(Complete(0, None, 0, 50_000)),
        call(Complete(0, None, 0, 50_000)),
        *[
            step
            for _ in range(3)
            for step in (
                call(Acquire(0, 0), Acquire(0, 1), Acquire(0, 0)),
                Pass(50_000),
                call(Complete(0, None, 0, 30_000), Complete(1, None, 0, 30_000), Complete(2, None, 0, 30_000)),
                call(Serve(0), Serve(1)),
            )
        ],
        Moves(0, 1, 0),
        *[
            step
            for _ in range(2)
            for step in (call(Acquire(0, 0), Acquire(0, 1)), call(Complete(0)), call(Complete(0)))
        ],
        call(*[Acquire(0, 0, knows=False)], Acquire(1, 1)),
        call(Cancel(0)),
        Restart(stale=False),
        call(Restore(1)),
        call(Restore(2), Acquire(0, 0)),
    ),
    "the hash of calls that wait for a slot becomes known": (
        *[call(Acquire(2, flags=("exempt",)))] * 2,
        call(Acquire(0, 0), Acquire(1, 1), Acquire(2, 1)),
        call(*[Acquire(route, major) for route in (0, 1) for major in (0, 1)], *[Acquire(0, 0)] * 2),
        call(*[Acquire(route, major) for route in (0, 1) for major in (0, 1)], worker=1),
        *[
            step
            for _ in range(3)
            for step in (
                call(*[Complete(pick) for pick in range(8)]),
                Pass(SECOND),
                call(Sign("n")),
                call(*[Again(pick) for pick in range(8)], *[Repeat(pick) for pick in range(8)]),
                call(*[Serve(pick) for pick in range(8)], *[Again(pick) for pick in range(8)], worker=1),
            )
        ],
    ),
    "answers come without Reset": (
        call(Acquire(0)),
        *(
            step
            for remaining, after_us, passes_us in (
                *((4, 2 * SECOND, 100_000), (3, 1_900_000, 100_000), (2, 1_500_000, 0), (3, 1_900_000, 2 * SECOND)),
                *((4, 2 * SECOND, 400_000), (0, 250_000, 100_000), (0, 150_000, 500_000), (4, 2 * SECOND, 0)),
            )
            for step in (
                call(Acquire(0), Acquire(0)),
                call(Complete(0, Says(hash=0, remaining=remaining, rid_ms=-(10**15), after_us=after_us))),
                Pass(passes_us),
                call(Sign("n")),
            )
        ),
        call(*[Complete(pick) for pick in range(3)]),
        call(*[Acquire(0)] * 3),
    ),
    "the first lane of a bucket pauses, and another one passes it": (
        *FIRST_TWO_ROUTES_ARE_KNOWN,
        call(*[Acquire(0)] * 3),
        call(Complete(0, Says("paused", 429, retry_us=3 * SECOND))),
        call(Acquire(0)),
        call(*[Acquire(1)] * 3),
        call(Complete(0), Complete(1)),
        call(*[Serve(pick) for pick in range(4)]),
        call(Acquire(1), Acquire(0)),
        Pass(3 * SECOND),
        call(*[Serve(pick) for pick in range(4)]),
        call(*[Complete(pick) for pick in range(3)]),
        call(Acquire(0), Acquire(1)),
    ),
    "a call of the first lane is adopted in the step that serves it": (
        *FIRST_TWO_ROUTES_ARE_KNOWN,
        call(Acquire(0)),
        call(Complete(0, Says("paused", 429, retry_us=0))),
        *[call(Acquire(1))] * 3,
        call(Acquire(0)),
        call(Acquire(1)),
        call(Serve(3), Adopt(0, 0, exempt=False)),
    ),
    "a global 429 comes while a bucket waits for its window": (
        *FIRST_TWO_ROUTES_ARE_KNOWN,
        call(*[Acquire(0)] * 3),
        call(*[Complete(pick) for pick in range(3)]),
        call(Acquire(2)),
        call(Complete(0, Says("global", 429, retry_us=250_000))),
        call(Acquire(0)),
        Pass(250_000),
        call(Sign("n")),
    ),
    "slots have become free since anybody asked for one": (
        *FIRST_TWO_ROUTES_ARE_KNOWN,
        call(*[Acquire(0)] * 3),
        call(*[Complete(pick) for pick in range(3)]),
        Pass(1_500_000),
        call(Acquire(0)),
    ),
    "a backlog of many seconds waits for the global limit": (
        call(Acquire(2)),
        call(Complete(0, Says())),
        *[call(*[Acquire(2)] * 100)] * 7,
        call(*[Complete(pick, Says()) for pick in range(50)]),
        Pass(SECOND),
        *[call(Sign("n")), Pass(60_000)] * 4,
    ),
    "an application comes with one call at a time beside a backlog": (
        call(Acquire(2)),
        call(Complete(0, Says())),
        call(*[Acquire(2)] * 80),
        call(*[Acquire(2, app="b")] * 10),
        *[
            step
            for _ in range(5)
            for step in (
                call(Acquire(2, app="c"), worker=1),
                call(*[Complete(pick, Says()) for pick in range(50)]),
                Pass(SECOND),
                *[call(Sign("n")), Pass(21_000)] * 6,
            )
        ],
    ),
    "calls of three applications wait in a lane whose first call waits for a slot": (
        call(Acquire(2)),
        call(Complete(0, Says())),
        call(*[Acquire(2)] * 60),
        call(*[Acquire(2, major=1, app=app, flags=("ordered",)) for app in "abb"]),
        Pass(50_000),
        call(Acquire(2, major=1, app="c", flags=("ordered",)), worker=1),
        call(Acquire(2, major=1, app="d", priority="high", flags=("ordered",)), worker=1),
        *[
            step
            for _ in range(8)
            for step in (
                call(*[Complete(pick, Says()) for pick in range(50)]),
                Pass(SECOND),
                *[call(Sign("n")), Pass(40_000)] * 2,
            )
        ],
    ),
    "a 429 contradicts a bucket, and another one when it has been cautious for long": tuple(
        step
        for passes_us in (30 * SECOND, 11 * MINUTE, 3 * SECOND, 61 * MINUTE)
        for step in (
            call(*[Acquire(0)] * 4, *[Acquire(1)] * 3),
            call(Complete(0, Says("exhausted", 429, 0, 3, 0, 400, 400_000, 400_000))),
            Pass(400_000),
            call(*[Serve(pick) for pick in range(4)]),
            call(Complete(0, Says(hash=0, limit=3, remaining=2, rid_ms=700, after_us=300_000))),
            call(*[Complete(pick, Says("unknown", 500)) for pick in range(2)]),
            Pass(passes_us),
            call(Sign("n")),
            call(*[Acquire(0, major=1)] * 2, *[Acquire(0)] * 4),
            call(*[Complete(pick) for pick in range(8)]),
            Pass(4 * SECOND),
        )
    ),
    "a replica takes over with old data": (
        call(Acquire(0)),
        call(Complete(0)),
        Restart(stale=True),
        call(Sign("n")),
        Pass(SECOND),
        call(Acquire(0)),
        call(Acquire(0)),
        call(Serve(0)),
    ),
    "the limit of a leaky bucket changes, and then it is a fixed window": tuple(
        step
        for limit, rid_ms, after_us in (
            (6, 3000, 3 * SECOND),
            (6, 12_000, 12 * SECOND),
            (2, 12_500, 12_500_000),
            (2, 12_500, SECOND),
        )
        for step in (
            call(Acquire(0)),
            call(Complete(0, Says(hash=0, limit=limit, remaining=limit - 1, rid_ms=rid_ms, after_us=after_us))),
        )
    ),
    "a restored bucket has a limit but no period": (
        call(Acquire(0)),
        call(Complete(0, Says("exhausted", 429, retry_us=0))),
        Restart(stale=False),
        call(Restore(0)),
        Pass(SECOND),
        call(Acquire(0)),
        call(Complete(0, Says("unknown", 404))),
        call(Acquire(0)),
    ),
}

"""A claim is renewed only while it is held."""

import asyncio

from discordproxy_ratelimit.errors import BrokerUnavailableError
from discordproxy_ratelimit.shared.claims import Claim, Claims
from fakes.eventually import eventually


class Renewals(Claims):
    """Notes on a Redis that does not answer at first."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, str, float]] = []
        self.enough = asyncio.Event()

    async def _claim(self, key: str, request: str, *, owner: str, lease_s: float, keeper: object = None) -> Claim:
        self.seen.append((key, request, owner, lease_s))
        if len(self.seen) == 1:
            raise BrokerUnavailableError("Redis does not answer")
        if len(self.seen) > 3:
            self.enough.set()
        return Claim("ours")


async def test_a_claim_is_renewed_while_it_is_held_also_after_a_failure() -> None:
    notes = Renewals()
    async with notes.hold("k", "r", owner="a", lease_s=0.03):
        await notes.enough.wait()
    assert set(notes.seen) == {("k", "r", "a", 0.03)}
    await eventually(lambda: asyncio.all_tasks() == {asyncio.current_task()})


async def test_what_ends_the_work_ends_the_renewal() -> None:
    notes = Renewals()

    async def work() -> None:
        async with notes.hold("k", "r", owner="a", lease_s=60):
            raise LookupError

    assert isinstance((await asyncio.gather(work(), return_exceptions=True))[0], LookupError)
    await eventually(lambda: asyncio.all_tasks() == {asyncio.current_task()})
    assert notes.seen == []

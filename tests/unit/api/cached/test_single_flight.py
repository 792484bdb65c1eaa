"""One request for all who ask the same at the same time; nobody is given what he did not ask for."""

import asyncio
import contextlib

import pytest

from discordproxy_api.cached.single_flight import SingleFlight
from discordproxy_api.calls.drain import Drain
from discordproxy_api.calls.errors import ApiError
from fakes.broker import FakeClaims
from fakes.eventually import eventually


class Discord:
    """Answers when told to; counts."""

    def __init__(self) -> None:
        self.asked = 0
        self.may_answer = asyncio.Event()
        self.error: ApiError | None = None

    async def fetch(self) -> bytes:
        self.asked += 1
        number = self.asked
        await self.may_answer.wait()
        if self.error is not None:
            raise self.error
        return b"answer %d" % number


@pytest.fixture
def discord() -> Discord:
    return Discord()


@pytest.fixture
def notes() -> FakeClaims:
    return FakeClaims()


def asking(flights, discord, *, fresh=False):
    return asyncio.create_task(flights.share("GET /guilds/1", discord.fetch, fresh=fresh))


async def under_way(discord, number=1):
    await eventually(lambda: discord.asked >= number)


async def test_all_who_wait_get_one_answer_in_this_worker_and_others(notes, discord):
    workers = [SingleFlight(notes, Drain()) for _ in range(2)]
    tasks = [asking(worker, discord, fresh=number % 2 == 0) for number in range(5) for worker in workers]
    await under_way(discord)
    discord.may_answer.set()
    assert set(await asyncio.gather(*tasks)) == {b"answer 1"}
    assert discord.asked == 1


async def test_other_questions_are_asked(notes, discord):
    discord.may_answer.set()
    flights = SingleFlight(notes, Drain())
    assert await flights.share("a", discord.fetch, fresh=False) == b"answer 1"
    assert await flights.share("b", discord.fetch, fresh=False) == b"answer 2"


async def test_an_answer_from_before_the_question_is_not_fresh(notes, discord):
    discord.may_answer.set()
    here, there = SingleFlight(notes, Drain()), SingleFlight(notes, Drain())
    assert await asking(here, discord) == b"answer 1"
    assert await asking(here, discord) == b"answer 1"
    assert await asking(there, discord) == b"answer 1"
    assert await asking(here, discord, fresh=True) == b"answer 2"
    assert await asking(SingleFlight(notes, Drain()), discord, fresh=True) == b"answer 3"


async def test_who_gives_up_is_replaced(notes, discord):
    flights = [SingleFlight(notes, Drain()) for _ in range(2)]
    first = asking(flights[0], discord)
    await under_way(discord)
    others = [asking(each, discord) for each in flights]
    first.cancel()
    await under_way(discord, 2)
    discord.may_answer.set()
    assert await asyncio.gather(*others) == [b"answer 2"] * 2
    with contextlib.suppress(asyncio.CancelledError):
        await first


async def test_a_refusal_of_discord_is_for_all(notes, discord):
    discord.error = ApiError("NOT_FOUND", "DISCORD_ERROR", "Unknown Guild", http_status=404, code=10004)
    workers = [SingleFlight(notes, Drain()) for _ in range(2)]
    tasks = [asking(worker, discord) for worker in workers for _ in range(3)]
    await under_way(discord)
    discord.may_answer.set()
    refused = await asyncio.gather(*tasks, return_exceptions=True)
    assert {(each.status, each.reason, each.text, each.code) for each in refused} == {
        ("NOT_FOUND", "DISCORD_ERROR", "Unknown Guild", 10004)
    }
    assert discord.asked == 1


@pytest.mark.parametrize("facts", [("DISCORD_ERROR", 503), ("DISCORD_UNREACHABLE", 0)])
async def test_a_failure_of_discord_is_for_all_who_waited_and_for_nobody_after(notes, discord, facts):
    reason, http_status = facts
    discord.error = ApiError("UNAVAILABLE", reason, "no", http_status=http_status, retry_after_s=1.0)
    flights = SingleFlight(notes, Drain())
    tasks = [asking(flights, discord, fresh=number % 2 == 0) for number in range(5)]
    await under_way(discord)
    discord.may_answer.set()
    failures = await asyncio.gather(*tasks, return_exceptions=True)
    assert [(each.reason, each.http_status, each.retry_after_s) for each in failures] == [(*facts, 1.0)] * 5
    assert len({id(each) for each in failures}) == 5  # each call's own, to be told with its own facts
    assert discord.asked == 1
    discord.error = None
    assert await asking(flights, discord) == b"answer 2"


async def test_the_end_of_one_callers_patience_is_his_alone(notes, discord):
    discord.error = ApiError("RESOURCE_EXHAUSTED", "WAIT_EXCEEDS_DEADLINE", "too long", retry_after_s=9.0)
    flights = SingleFlight(notes, Drain())
    first, second = asking(flights, discord), asking(flights, discord)
    await under_way(discord)
    discord.may_answer.set()
    with pytest.raises(ApiError, match="too long"):
        await first
    with pytest.raises(ApiError, match="too long"):
        await second
    assert discord.asked == 2


async def test_without_redis_the_worker_asks_for_itself(notes, discord):
    notes.down = True
    discord.may_answer.set()
    assert await asking(SingleFlight(notes, Drain()), discord) == b"answer 1"


async def test_a_drain_ends_waiting_for_another_worker(notes, discord):
    drain = Drain()
    first = asking(SingleFlight(notes, Drain()), discord)
    await under_way(discord)
    second = asking(SingleFlight(notes, drain), discord)
    await asyncio.sleep(0)  # it may be waiting by now or not: the end is the same
    drain.begin()
    with pytest.raises(ApiError, match="stopping"):
        await second
    discord.may_answer.set()
    assert await first == b"answer 1"

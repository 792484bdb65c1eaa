"""Waiting for the turn to IDENTIFY in virtual time: no answer makes the worker ask without a pause."""

import asyncio

import pytest

from discordproxy_gateway.shard.identify_turn import MAX_BUDGET_PAUSE_S, POLL_S, await_turn
from discordproxy_gateway.store.session_store import IdentifyAnswer
from fakes.virtual_time import VirtualClock, run

DAY_S = 86_400.0


class Asked:
    """Redis and Discord with prepared answers; the last one is repeated."""

    def __init__(self, *answers: IdentifyAnswer) -> None:
        self.answers = list(answers)
        self.questions: list[float] = []
        self.lookups: list[float] = []
        self.told: list[int] = []

    async def may_identify(self) -> IdentifyAnswer:
        self.lookups.append(asyncio.get_running_loop().time())
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    async def refresh_budget(self) -> None:
        self.questions.append(asyncio.get_running_loop().time())

    async def report_low(self, answer: IdentifyAnswer) -> None:
        self.told.append(answer.remaining)

    def wait(self, within_s: float = DAY_S) -> float:
        """Return how long the turn took; `within_s` if it never came."""

        async def waiting() -> float:
            began = asyncio.get_running_loop().time()
            try:
                async with asyncio.timeout(within_s):
                    await await_turn(self.may_identify, self.refresh_budget, self.report_low)
            except TimeoutError:
                return within_s
            return asyncio.get_running_loop().time() - began

        return run(waiting(), VirtualClock())


GO = IdentifyAnswer("GO", 1000)
ASK = IdentifyAnswer("ASK")


def test_a_full_budget_and_an_open_gate_cost_no_question():
    asked = Asked(GO)
    assert asked.wait() == 0
    assert asked.questions == []


def test_an_unknown_budget_is_asked_for_once():
    asked = Asked(ASK, GO)
    assert asked.wait() == 0
    assert len(asked.questions) == 1


@pytest.mark.parametrize(
    "answer",
    [ASK, IdentifyAnswer("LOW", 0, DAY_S), IdentifyAnswer("LOW", 3, 3600.0), IdentifyAnswer("LOW", 3, 60.0)],
    ids=repr,
)
def test_a_budget_that_never_comes_is_asked_for_ever_more_slowly(answer):
    asked = Asked(answer)
    asked.wait()
    assert len(asked.questions) < 20 + 2 * DAY_S / MAX_BUDGET_PAUSE_S
    pauses = [later - earlier for earlier, later in zip(asked.questions, asked.questions[1:], strict=False)]
    assert min(pauses) >= 29


def test_a_low_budget_is_reported_after_each_request():
    asked = Asked(IdentifyAnswer("LOW", 7, DAY_S), IdentifyAnswer("LOW", 5, DAY_S), GO)
    assert 30 <= asked.wait() <= 180
    assert asked.told == [7, 5]
    assert len(asked.questions) == 2


def test_a_budget_that_is_about_to_be_full_is_asked_for_right_then():
    asked = Asked(IdentifyAnswer("LOW", 0, 4.0), GO)
    assert asked.wait() == pytest.approx(4.0)


def test_a_gate_that_opens_early_is_noticed():
    shut = [IdentifyAnswer("WAIT", wait_s=35.0)]  # the other shard's handshake
    paced = [IdentifyAnswer("WAIT", wait_s=5.0 - POLL_S * n) for n in range(10)]
    asked = Asked(*shut, *paced, GO)
    assert asked.wait() == pytest.approx(5.5)
    assert asked.questions == []


@pytest.mark.parametrize("wait_s", [0.0, -0.001, -1.0])
def test_a_gate_without_a_time_is_not_hammered(wait_s):
    asked = Asked(IdentifyAnswer("WAIT", wait_s=wait_s))
    asked.wait(within_s=10)
    assert len(asked.lookups) <= 1001

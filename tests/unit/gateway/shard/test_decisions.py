"""The pure decisions: reconnecting, fatal lines, pacing, batching, deferring."""

import warnings
from unittest.mock import Mock

import pytest
from multidict import CIMultiDict

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # discord.py imports audioop
    import discord

from discordproxy_gateway.discord.dispatch import Dispatch
from discordproxy_gateway.discord.failures import budget_line, fatal_line
from discordproxy_gateway.discord.intents import BITS, EVENTS, names_of, value_of
from discordproxy_gateway.discord.reconnect import ConnectionEnd, next_step
from discordproxy_gateway.discord.request_errors import EDGE_WAIT_S, advised_wait_s
from discordproxy_gateway.discord.session import Session
from discordproxy_gateway.plan.member_operations import GuildState, MemberRequest
from discordproxy_gateway.shard.chunking import next_guild
from discordproxy_gateway.shard.interaction_deferral import deferred_response
from discordproxy_gateway.write.batch import WEIGHT_PER_CALL, EventBatch, PlannedEvent


class TestReconnect:
    def test_a_first_loss_resumes_at_once(self):
        step = next_step(ConnectionEnd("lost"), failures=0, jitter=0.5)
        assert (step.keep_session, step.wait_s) == (True, 0)

    def test_what_never_came_about_is_not_tried_again_at_once(self):
        assert next_step(ConnectionEnd("refused", established=False), failures=0, jitter=0.0).wait_s >= 0.5

    def test_a_wait_that_was_asked_for_is_kept_within_bounds(self):
        assert next_step(ConnectionEnd("refused", wait_s=1234), failures=0, jitter=0.5).wait_s == 1234
        assert next_step(ConnectionEnd("invalid", session_gone=True, wait_s=77), failures=0, jitter=0.5).wait_s == 77
        assert next_step(ConnectionEnd("refused", wait_s=10**9), failures=3, jitter=0.5).wait_s == 3600

    @pytest.mark.parametrize("chance", [0.0, 0.999])
    def test_an_invalid_session_waits_one_to_five_seconds(self, chance):
        step = next_step(ConnectionEnd("invalid", session_gone=True), failures=0, jitter=chance)
        assert not step.keep_session
        assert 1 <= step.wait_s < 5

    def test_waits_grow_to_a_bound(self):
        waits = [next_step(ConnectionEnd("lost"), failures=n, jitter=0.999).wait_s for n in range(1, 30)]
        assert waits == sorted(waits)
        assert waits[-1] <= 60
        waits = [next_step(ConnectionEnd("gone", 4009), failures=n, jitter=0.999).wait_s for n in range(1, 30)]
        assert waits == sorted(waits)
        assert 800 < waits[-1] <= 900


class TestFatalLines:
    def test_disallowed_intents_are_named_exactly(self):
        line = fatal_line(4014, intents=("guilds", "message_content"), shards="0-1")
        assert "'Message Content Intent'" in line
        assert "Server Members" not in line
        assert "DISCORDPROXY_INTENTS" in line

    @pytest.mark.parametrize("code", [None, 1000, 1006, 4000, 4007, 4009])
    def test_what_passes_is_not_fatal(self, code):
        assert fatal_line(code, intents=(), shards="0-1") is None

    def test_every_line_is_one_line(self):
        for code in (4004, 4010, 4011, 4012, 4013, 4014):
            assert "\n" not in fatal_line(code, intents=("guilds",), shards="0-1")
        assert "3 h 5 min" in budget_line(12, 3 * 3600 + 5 * 60)


class TestIntents:
    def test_bits_round_trip(self):
        assert names_of(value_of(BITS)) == sorted(BITS, key=BITS.get)
        assert value_of(["guilds", "members", "guilds"]) == 3

    def test_events_need_known_intents(self):
        assert {name for needed in EVENTS.values() for name in needed} <= set(BITS)


class TestNextGuild:
    guilds = {  # noqa: RUF012 - read only
        "10": GuildState(current=True, size=1000),
        "20": GuildState(current=True, size=10),
        "30": GuildState(current=True, complete=True),
        "40": GuildState(current=True, request=MemberRequest("n")),
        "50": GuildState(current=True, available=False),
        "60": GuildState(current=False),
        "no id": GuildState(current=True, size=1),
    }

    def ask(self, wanted=(), not_before=None, now=0.0):
        return next_guild(self.guilds, wanted=wanted, not_before=not_before or {}, now=now)

    def test_wanted_guilds_come_first_then_small_ones(self):
        assert self.ask() == "20"
        assert self.ask(wanted=["30", "60", "70", "no id", "10"]) == "10"

    def test_a_guild_is_left_alone_until_it_may_be_asked(self):
        assert self.ask(not_before={"20": 30}) == "10"
        assert self.ask(not_before={"20": 30, "10": 20}) is None
        assert self.ask(not_before={"20": 30, "10": 20}, now=20) == "10"


class TestBatch:
    def planned(self, sequence: int, words: int, begins: Session | None = None) -> PlannedEvent:
        operations = [tuple(map(str, range(100)))] * (words // 100)
        return PlannedEvent(float(sequence), Dispatch("X", {}, sequence, float(sequence)), operations, begins)

    def test_takes_events_up_to_its_bounds(self):
        batch = EventBatch(self.planned(0, 100))
        taken = [batch.try_add(self.planned(n, 100)) for n in range(1, 100)]
        assert 1 + taken.count(True) == len(batch.events) == WEIGHT_PER_CALL // 100
        assert [len(operations) for operations in batch.calls()] == [len(batch.events)]
        assert batch.current_at == batch.events[-1].sequence

    def test_a_big_event_is_alone_and_written_in_parts(self):
        batch = EventBatch(self.planned(1, 5000))
        assert not batch.try_add(self.planned(2, 100))
        parts = batch.calls()
        assert len(parts) == 4
        assert sum(map(len, parts)) == 50

    def test_ready_stands_alone(self):
        session = Session("s", 1, "url", "f")
        batch = EventBatch(self.planned(1, 100, session))
        assert not batch.try_add(self.planned(2, 100))
        later = EventBatch(self.planned(1, 100))
        assert not later.try_add(self.planned(2, 100, session))

    def test_word_of_life_has_one_empty_call(self):
        batch = EventBatch(PlannedEvent(5.0))
        assert batch.calls() == [[]]
        assert batch.events == []


@pytest.mark.parametrize(
    ("interaction", "private", "body"),
    [
        ({"type": 2}, True, {"type": 5, "data": {"flags": 64}}),
        ({"type": 2}, False, {"type": 5}),
        ({"type": 3, "message": {"id": "1"}}, True, {"type": 6}),
        ({"type": 4}, True, None),
        ({"type": 5}, False, {"type": 5}),
        ({"type": 5, "message": None}, True, {"type": 5, "data": {"flags": 64}}),
        ({"type": 5, "message": {"id": "1"}}, True, {"type": 6}),
        ({"type": 99}, False, None),
    ],
)
def test_deferred_responses(interaction, private, body):
    assert deferred_response(interaction, private=private) == body


@pytest.mark.parametrize(
    ("status", "headers", "text", "wait_s"),
    [
        (429, {"Via": "1.1 google", "Retry-After": "7"}, "", 7.0),
        (429, {"X-RateLimit-Global": "true", "Retry-After": "7"}, "error", 7.0),
        (429, {"Via": "1.1 google"}, "", 1.0),
        (429, {}, "<html>", EDGE_WAIT_S),
        (429, {"Retry-After": "3600"}, "<html>", 3600.0),
        (503, {"Retry-After": "7"}, "", 7.0),
    ],
)
def test_a_refused_request_of_the_gateway_worker_waits_as_long_as_it_is_asked_to(status, headers, text, wait_s):
    response = Mock(status=status, headers=CIMultiDict(headers), reason="")
    assert advised_wait_s(discord.HTTPException(response, text)) == wait_s
    assert advised_wait_s(TimeoutError()) == 0.0

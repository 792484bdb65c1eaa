"""Events of every name with every kind of data: none of them stops anything but itself."""

import asyncio
import warnings
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # discord.py imports audioop
    import discord as _  # noqa: F401

from discordproxy_gateway.discord.discord_socket import HELLO_MS, MAX_HELLO_MS, MIN_HELLO_MS, hello_ms
from discordproxy_gateway.discord.dispatch import MAX_STEP, Dispatch, MalformedEventError, read_dispatch
from discordproxy_gateway.discord.inflate import Inflate, UnreadableError
from discordproxy_gateway.discord.intents import EVENTS
from discordproxy_gateway.discord.session import begun_by
from discordproxy_gateway.keys import Keys, Slot
from discordproxy_gateway.options import GatewayOptions
from discordproxy_gateway.plan.event_planner import INTERNAL
from discordproxy_gateway.plan.member_operations import GuildState
from discordproxy_gateway.shard.chunking import MAX_REFUSED_S, PER_GUILD_S, Chunker, next_guild, refused_wait_s
from discordproxy_gateway.shard.context import ShardContext
from discordproxy_gateway.shard.intake import Intake
from discordproxy_gateway.shard.interaction_deferral import Deferrer
from discordproxy_gateway.store.lease import Lease

GUILD = "4194304"
FIELDS = [
    "id", "guild_id", "channel_id", "type", "token", "opcode", "retry_after", "meta", "members", "user", "roles",
    "session_id", "resume_gateway_url", "guilds", "nonce", "chunk_index", "chunk_count", "unavailable",
    "application_id",
]  # fmt: skip
names = st.sampled_from(sorted({*EVENTS, *INTERNAL, "SOMETHING_NEW"}))
leaves = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from([GUILD, "1", 2, 8])
)
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=6)
)


def helpers(guilds: dict[str, GuildState]) -> tuple[Intake, Chunker, Deferrer]:
    async def send(*_: Any) -> None:
        raise AssertionError("nothing is sent within a test")

    options, keys, nothing = GatewayOptions("", ()), Keys("p", "1"), cast("Any", None)
    context = ShardContext(nothing, nothing, keys, nothing, options, "", "", 1, None)
    lease = Lease(nothing, keys, Slot(), owner="o", fence=1, lease_s=10)
    chunker = Chunker(nothing, "", guilds, nothing)
    deferrer = Deferrer(nothing, send, after_s=1.0, private=True)
    intake = Intake(context, lease, session=None, fingerprint="", planner=nothing, deferrer=deferrer, chunker=chunker)
    return intake, chunker, deferrer


@given(st.lists(st.tuples(names, values), max_size=8))
def test_helpers_of_a_connection_survive_every_event(events):
    async def apply() -> None:
        guilds = {GUILD: GuildState(current=True, size=3)}
        made, chunker, deferrer = helpers(guilds)
        made.on_stored([Dispatch(name, data, number, 0.0) for number, (name, data) in enumerate(events, 1)])
        made.on_stored([Dispatch("RESUMED", None, 99, 0.0)])
        assert made.began
        far = asyncio.get_running_loop().time() + MAX_REFUSED_S + 1
        assert next_guild(guilds, wanted=[], not_before=chunker._not_before, now=far) == GUILD
        await deferrer.close()

    asyncio.run(apply())


def test_every_kind_of_odd_event_is_warned_of_once(caplog):
    async def apply() -> None:
        made, *_ = helpers({})
        made.on_stored([Dispatch("INTERACTION_CREATE", None, number, 0.0) for number in range(50)])
        made.on_stored([Dispatch("RATE_LIMITED", None, number, 0.0) for number in range(50)])

    asyncio.run(apply())
    assert [record.getMessage().split(" not ")[0] for record in caplog.records] == [
        "event 'INTERACTION_CREATE'",
        "event 'RATE_LIMITED'",
    ]


@given(st.dictionaries(st.sampled_from(["op", "t", "s", "d", "x"]), values), st.integers(0, 100))
def test_what_is_read_as_an_event_has_a_name_and_a_number(message, after):
    try:
        event = read_dispatch(message, after=after, now=0.0)
    except (MalformedEventError, UnreadableError):
        return
    assert isinstance(event.name, str)
    assert type(event.sequence) is int
    assert event.sequence > after or event.name in {"READY", "RESUMED"}


@pytest.mark.parametrize(("sequence", "kept"), [(None, 7), (3, 7), (8, 8), ("x", 7), (2**50, 7)])
def test_resumed_never_goes_back(sequence, kept):
    assert read_dispatch({"t": "RESUMED", "s": sequence}, after=7, now=0.0).sequence == kept


def test_ready_begins_to_count_also_without_a_number():
    assert read_dispatch({"t": "READY", "s": None, "d": {}}, after=7, now=0.0).sequence == 1


def test_an_event_that_came_already_is_passed_over():
    with pytest.raises(MalformedEventError, match="came already"):
        read_dispatch({"t": "MESSAGE_CREATE", "s": 7, "d": {}}, after=7, now=0.0)
    assert read_dispatch({"t": "READY", "s": 1, "d": {}}, after=7, now=0.0).sequence == 1


@pytest.mark.parametrize(("after", "sequence"), [(7, 8 + MAX_STEP), (2**50, 8), (0, 2**50)])
def test_a_number_far_from_the_sessions_ends_the_connection(after, sequence):
    with pytest.raises(UnreadableError, match="far from"):
        read_dispatch({"t": "MESSAGE_CREATE", "s": sequence, "d": {}}, after=after, now=0.0)


@given(values)
def test_ready_names_a_session_or_is_refused(data):
    try:
        session = begun_by(data, 1, "f")
    except (LookupError, TypeError, ValueError, AttributeError):
        return
    assert isinstance(session.id, str)
    assert session.id
    assert isinstance(session.resume_url, str)


@given(values)
def test_hello_always_gives_a_sensible_interval(data):
    assert MIN_HELLO_MS <= hello_ms(data) <= MAX_HELLO_MS
    assert MIN_HELLO_MS <= hello_ms({"heartbeat_interval": data}) <= MAX_HELLO_MS


def test_hello_is_obeyed():
    assert hello_ms({"heartbeat_interval": HELLO_MS}) == HELLO_MS
    assert hello_ms({"heartbeat_interval": 30_000.5}) == 30_000


@given(values, st.integers(0, 10_000))
def test_a_refused_guild_is_left_alone_for_a_while_but_not_for_ever(retry_after, refusals):
    assert 1.0 <= refused_wait_s(retry_after, refusals) <= MAX_REFUSED_S


def test_refusals_are_obeyed_and_slow_down():
    assert refused_wait_s(12.5, 0) == 12.5
    assert refused_wait_s(None, 0) == PER_GUILD_S
    assert [refused_wait_s(0, refusals) for refusals in range(4)] == [1, 2, 4, 8]


class Same:
    def decompress(self, data: bytes) -> bytes:
        return data


@pytest.mark.parametrize(
    ("frame", "content"),
    [
        (b'{"op":0,"d":"\\ud83d"}', "\ufffd"),
        (b'{"op":0,"d":"a\\udc00b"}', "a\ufffdb"),
        (b'{"op":0,"d":"\xff"}', "\ufffd"),
        (b'{"op":0,"d":NaN}', None),
        (b'{"op":0,"d":"\\ud83d\\ude00"}', "\U0001f600"),
    ],
)
def test_what_only_a_strict_reader_refuses_is_read(frame, content):
    read = Inflate(Same()).read(frame)
    assert read is not None
    assert read["d"] == content


@given(st.binary(max_size=40) | st.text(max_size=40) | st.sampled_from(["[" * 5000, "[]", "3", "null", '{"t":1}']))
def test_anything_else_is_unreadable_and_nothing_worse(frame):
    try:
        read = Inflate(Same()).read(frame)
    except UnreadableError:
        return
    assert read is None or "op" in read

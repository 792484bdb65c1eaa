"""The pipeline with a scripted server, in virtual time."""

import asyncio
import functools

import pytest
from hiredis import pack_command
from redis.asyncio import UnixDomainSocketConnection
from redis.backoff import NoBackoff
from redis.exceptions import (
    BusyLoadingError,
    DataError,
    InvalidResponse,
    NoScriptError,
    ReadOnlyError,
    ResponseError,
)
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import TimeoutError as NoAnswer
from redis.retry import Retry

from discordproxy_ratelimit.redis import pipeline as module
from discordproxy_ratelimit.redis.pipeline import NotSentError, OutcomeUnknownError, Pipeline
from fakes.virtual_time import VirtualClock, run

BOUND_S = 1.0
MOMENT_S = 0.001
"""In virtual time this is over when everything has been delivered."""


class Server(asyncio.Protocol):
    """One connection's other end: keeps what comes and writes what a test says."""

    def __init__(self, path, clock):
        self.path, self.clock = path, clock
        self.chunks: list[bytes] = []
        self.closed = False
        self.losses = 0

    def connection_made(self, transport):
        self.transport = transport

    def connection_lost(self, exc):
        self.closed = True

    def data_received(self, data):
        self.chunks.append(data)

    @property
    def received(self):
        return b"".join(self.chunks)

    async def connect(self, **options):
        options = {"retry": Retry(NoBackoff(), 0), "protocol": 2, "driver_info": None} | options
        connection = UnixDomainSocketConnection(path=self.path, **options)
        return await Pipeline.connect(connection, timeout_s=BOUND_S, on_lost=self.lost)

    def lost(self):
        self.losses += 1

    async def says(self, replies):
        self.transport.write(replies)
        await moment()


async def moment():
    await asyncio.sleep(MOMENT_S)


def played(test):
    """Run a test with a server and an open pipeline."""

    @functools.wraps(test)
    def play(tmp_path):
        async def story():
            server = Server(str(tmp_path / "s"), clock)
            listening = await asyncio.get_running_loop().create_unix_server(lambda: server, server.path)
            pipeline = await server.connect()
            await moment()
            try:
                await test(server, pipeline)
            finally:
                pipeline.close()
                listening.close()
                await moment()
                server.transport.abort()
                await moment()

        clock = VirtualClock()
        run(story(), clock)

    del play.__wrapped__  # pytest would take its parameters for fixtures
    return play


async def errors_of(*replies):
    return await asyncio.gather(*replies, return_exceptions=True)


@played
async def test_commands_of_one_turn_leave_together_and_replies_come_in_order(server, pipeline):
    replies = [pipeline.send("ECHO", number) for number in range(100)]
    await moment()
    assert server.chunks == [b"".join(pack_command(("ECHO", number)) for number in range(100))]
    await server.says(b"".join(b":%d\r\n" % number for number in range(100)))
    assert [reply.result() for reply in replies] == list(range(100))


@played
async def test_a_command_that_may_wait_leaves_with_the_next_one(server, pipeline):
    first = pipeline.send_along("ECHO", 1)
    await moment()
    assert not server.chunks
    second = pipeline.send("ECHO", 2)
    third = pipeline.send_along("ECHO", 3)
    await moment()
    assert server.chunks == [b"".join(pack_command(("ECHO", number)) for number in (1, 2, 3))]
    await server.says(b":1\r\n:2\r\n:3\r\n")
    assert [reply.result() for reply in (first, second, third)] == [1, 2, 3]


@played
async def test_a_command_that_may_wait_leaves_by_itself_after_a_moment(server, pipeline):
    reply = pipeline.send_along("ECHO", 1)
    await asyncio.sleep(2 * module.MAX_DELAY_S)
    assert server.received == pack_command(("ECHO", 1))
    await server.says(b":1\r\n")
    assert reply.result() == 1


@played
async def test_a_command_that_waits_fails_with_its_connection(server, pipeline):
    reply = pipeline.send_along("ECHO", 1)
    pipeline.close()
    with pytest.raises(NotSentError):
        await reply
    with pytest.raises(NotSentError):
        pipeline.send_along("ECHO", 2)
    await asyncio.sleep(2 * module.MAX_DELAY_S)
    assert not server.received


@played
async def test_a_reply_may_come_in_pieces_and_be_anything(server, pipeline):
    kinds = [pipeline.send("X") for _ in range(6)]
    whole = b"$-1\r\n:0\r\n$0\r\n\r\n+OK\r\n*3\r\n:1\r\n$3\r\na\r\n\r\n*-1\r\n*0\r\n"
    for number in range(len(whole)):
        await server.says(whole[number : number + 1])
    assert [reply.result() for reply in kinds] == [None, 0, b"", b"OK", [1, b"a\r\n", None], []]


@played
async def test_an_error_is_its_callers_alone(server, pipeline):
    replies = [pipeline.send("X") for _ in range(4)]
    await server.says(b"-NOSCRIPT No matching script\r\n-ERR wrong\r\n*1\r\n-ERR inside\r\n+OK\r\n")
    assert isinstance(replies[0].exception(), NoScriptError)
    assert isinstance(replies[1].exception(), ResponseError)
    assert isinstance(replies[2].result()[0], ResponseError)
    assert replies[3].result() == b"OK"
    assert pipeline.is_open


@played
async def test_the_reply_of_a_cancelled_caller_goes_to_nobody(server, pipeline):
    async def call():
        return await pipeline.send("X")

    before, during, after = (asyncio.create_task(call()) for _ in range(3))
    await moment()
    during.cancel()
    await server.says(b"+before\r\n+during\r\n+after\r\n")
    assert (before.result(), after.result()) == (b"before", b"after")
    assert during.cancelled()


@played
async def test_a_unit_is_answered_with_a_list(server, pipeline):
    alone, unit, cancelled, last = (
        pipeline.send("A"),
        pipeline.send_all([("B", 1), ("B", 2)]),
        pipeline.send_all([("C",), ("C",)]),
        pipeline.send_all(("D", number) for number in range(2)),
    )
    cancelled.cancel()
    await moment()
    commands = [("A",), ("B", 1), ("B", 2), ("C",), ("C",), ("D", 0), ("D", 1)]
    assert server.chunks == [b"".join(map(pack_command, commands))]
    await server.says(b":1\r\n$-1\r\n")
    assert (alone.result(), unit.done()) == (1, False)
    await server.says(b"*0\r\n:4\r\n:5\r\n:6\r\n:7\r\n")
    assert (unit.result(), last.result()) == ([None, []], [6, 7])
    assert await pipeline.send_all([]) == []


@played
async def test_a_unit_fails_with_its_first_error_once_all_of_it_was_answered(server, pipeline):
    unit, after = pipeline.send_all([("A",), ("B",), ("C",)]), pipeline.send("D")
    await server.says(b":1\r\n-ERR first\r\n")
    assert not unit.done()
    await server.says(b"-ERR second\r\n+OK\r\n")
    assert str(unit.exception()) == "first"
    assert after.result() == b"OK"


@played
async def test_what_has_no_form_on_the_wire_is_refused_and_not_quoted(server, pipeline):
    for value in (None, True, ["secret"], object()):
        with pytest.raises(DataError) as refused:
            pipeline.send("AUTH", "secret", value)
        with pytest.raises(DataError):
            pipeline.send_all([("GET", "x"), ("GET", value)])
        assert "secret" not in str(refused.value)
    reply = pipeline.send(b"SET", "é", b"\xff", 1, 1.5, 2**70)
    await server.says(b"+OK\r\n")
    assert reply.result() == b"OK"
    assert server.received == pack_command((b"SET", "é", b"\xff", 1, 1.5, 2**70))


@played
async def test_a_lost_connection_tells_what_was_sent(server, pipeline):
    server.transport.pause_reading()
    sent = [pipeline.send("X", number, "x" * 2**20) for number in range(3)]
    await moment()
    unsent = [pipeline.send("Y"), pipeline.send_all([("Z",)] * 2)]
    await moment()
    server.transport.abort()
    errors = await errors_of(*sent, *unsent)
    assert [type(error) for error in errors] == [OutcomeUnknownError] * 3 + [NotSentError] * 2
    assert not pipeline.is_open
    assert server.losses == 1
    for send in (lambda: pipeline.send("X"), lambda: pipeline.send_all([("X",)])):
        with pytest.raises(NotSentError):
            send()


@played
async def test_an_idle_connection_that_ends_is_reported_too(server, pipeline):
    server.transport.close()
    await moment()
    assert (pipeline.is_open, server.losses) == (False, 1)


@played
async def test_closing_fails_what_is_outstanding_and_is_no_loss(server, pipeline):
    sent = pipeline.send("X")
    await moment()
    unsent = pipeline.send("Y")
    pipeline.close()
    pipeline.close()
    assert [type(error) for error in await errors_of(sent, unsent)] == [OutcomeUnknownError, NotSentError]
    await moment()
    assert server.closed
    assert server.losses == 0


@played
async def test_silence_ends_the_connection_after_the_bound(server, pipeline):
    began = server.clock.now
    old = pipeline.send("X")
    await asyncio.sleep(BOUND_S / 2)
    young = pipeline.send("Y")
    errors = await errors_of(old, young)
    assert server.clock.now == pytest.approx(began + BOUND_S)
    assert [type(error) for error in errors] == [OutcomeUnknownError] * 2
    assert isinstance(errors[0].__cause__, NoAnswer)
    assert server.losses == 1


@played
async def test_each_command_has_the_whole_bound(server, pipeline):
    for _ in range(50):
        first = pipeline.send("X")
        await asyncio.sleep(BOUND_S * 0.6)
        second = pipeline.send("Y")
        await asyncio.sleep(BOUND_S * 0.3)
        await server.says(b"+x\r\n")
        await asyncio.sleep(BOUND_S * 0.6)
        await server.says(b"+y\r\n")
        assert (first.result(), second.result()) == (b"x", b"y")
    await asyncio.sleep(3600)
    assert pipeline.is_open, "nobody waited for anything"
    began = server.clock.now
    await errors_of(pipeline.send("X"))
    assert server.clock.now == pytest.approx(began + BOUND_S)


def stands_still(server, for_s):
    server.clock.now += for_s


@played
async def test_a_reply_that_came_while_the_loop_stood_still_is_taken(server, pipeline):
    reply = pipeline.send("X")
    await moment()
    asyncio.get_running_loop().call_soon(stands_still, server, BOUND_S * 2)
    asyncio.get_running_loop().call_later(BOUND_S * 2.5, server.transport.write, b"+late\r\n")
    assert await reply == b"late"


@played
async def test_silence_is_silence_even_after_a_stall(server, pipeline):
    began = server.clock.now
    reply = pipeline.send("X")
    await moment()
    stands_still(server, BOUND_S * 2)
    assert [type(error) for error in await errors_of(reply)] == [OutcomeUnknownError]
    assert server.clock.now == pytest.approx(began + BOUND_S * 3, abs=0.01)


@played
async def test_a_loop_that_always_stands_still_comes_to_an_end(server, pipeline):
    stalls = []

    def again():
        stalls.append(stands_still(server, BOUND_S * 2))
        asyncio.get_running_loop().call_later(MOMENT_S, again)

    reply = pipeline.send("X")
    again()
    assert [type(error) for error in await errors_of(reply)] == [OutcomeUnknownError]
    assert 1 < len(stalls) < 20
    stalls.clear()


@pytest.mark.parametrize("nonsense", [b"?\r\n", b"+asked for\r\n+not asked for\r\n", b"HTTP/1.1 400 Bad Request\r\n"])
def test_a_server_that_speaks_nonsense_is_left(tmp_path, nonsense):
    @played
    async def story(server, pipeline):
        reply = pipeline.send("X")
        await server.says(nonsense)
        assert not pipeline.is_open
        assert server.losses == 1
        if nonsense.startswith(b"+"):
            assert reply.result() == b"asked for"
        else:
            assert isinstance(reply.exception(), OutcomeUnknownError)
            assert isinstance(reply.exception().__cause__, InvalidResponse)

    story(tmp_path)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (b"-READONLY You can't write against a read only replica. script: x\r\n", ReadOnlyError),
        (b"-LOADING Redis is loading the dataset in memory\r\n", BusyLoadingError),
        (b"-NOAUTH Authentication required.\r\n", ConnectionLost),
    ],
)
def test_a_server_of_no_use_is_left_once_its_replies_are_taken(tmp_path, reply, error):
    @played
    async def story(server, pipeline):
        refused, read, outstanding = pipeline.send("X"), pipeline.send("Y"), pipeline.send("Z")
        await server.says(reply + b"+read\r\n")
        assert isinstance(refused.exception(), error)
        assert read.result() == b"read"
        assert isinstance(outstanding.exception(), OutcomeUnknownError)
        assert not pipeline.is_open
        assert server.losses == 1

    story(tmp_path)


@played
async def test_messages_pushed_in_between_are_nobodys_reply(server, pipeline):
    reply = pipeline.send("X")
    await server.says(b">2\r\n+MOVING\r\n:1\r\n+OK\r\n>1\r\n+other\r\n")
    assert reply.result() == b"OK"
    assert pipeline.is_open


@played
async def test_more_than_the_greatest_number_of_calls_is_refused(server, pipeline):
    replies = [pipeline.send("X") for _ in range(module.MAX_OUTSTANDING)]
    with pytest.raises(NotSentError):
        pipeline.send("X")
    await server.says(b"+OK\r\n")
    assert replies[0].result() == b"OK"
    one_more = pipeline.send("Y")
    await server.says(b"+OK\r\n" * module.MAX_OUTSTANDING)
    assert one_more.result() == b"OK"


@played
async def test_commands_stay_here_while_the_server_does_not_read(server, pipeline):
    server.transport.pause_reading()
    large = "x" * 2**20
    sent, kept = [pipeline.send("X", large)], []
    await moment()
    for _ in range(3):
        kept.append(pipeline.send("Y"))
        await moment()
    server.transport.resume_reading()
    await moment()
    assert server.received == pack_command(("X", large)) + pack_command(("Y",)) * 3
    await server.says(b"+OK\r\n" * 4)
    assert [reply.result() for reply in (*sent, *kept)] == [b"OK"] * 4
    server.transport.pause_reading()
    sent, kept = [pipeline.send("X", large)], []
    await moment()
    for _ in range(2):
        kept.append(pipeline.send("Z"))
        await moment()
    pipeline.close()
    errors = await errors_of(*sent, *kept)
    assert [type(error) for error in errors] == [OutcomeUnknownError] + [NotSentError] * 2


@played
async def test_a_login_that_fails_or_is_given_up_leaves_nothing_open(server, pipeline):
    for password, reply in (("s3cret", b"-WRONGPASS invalid\r\n"), ("s3cret", b"")):
        login = asyncio.create_task(server.connect(password=password, socket_timeout=BOUND_S / 2))
        await moment()
        await (server.says(reply) if reply else asyncio.sleep(BOUND_S))
        with pytest.raises(ConnectionLost) as failed:
            await login
        assert password not in f"{failed.value!r}{failed.value.__cause__!r}"
        await moment()
        assert server.closed
        server.closed = False
    login = asyncio.create_task(server.connect(password="s3cret"))
    await moment()
    login.cancel()
    with pytest.raises(asyncio.CancelledError):
        await login
    await moment()
    assert server.closed


@played
async def test_a_shorter_socket_timeout_of_the_connection_counts(server, pipeline):
    hasty = await server.connect(socket_timeout=BOUND_S / 4)
    began = server.clock.now
    await errors_of(hasty.send("X"))
    assert server.clock.now == pytest.approx(began + BOUND_S / 4)

"""The HTTP client against servers that close, stall, interrupt and babble, on real sockets."""

import asyncio
import contextlib
import gzip
import socket
import zlib

import pytest

from discordproxy_api.discord.http1 import pool
from discordproxy_api.discord.http1.client import Http1Client, HttpOptions
from discordproxy_api.discord.http1.response import NoAnswerError, UnreadableAnswerError
from fakes.eventually import eventually
from fakes.odd_server import odd_server

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@contextlib.asynccontextmanager
async def client_of(server, **options):
    async with Http1Client(HttpOptions(f"http://127.0.0.1:{server.port}/api", "test", **options)) as client:
        yield client


class Writes:
    """Counts the requests that were about to be written."""

    def __init__(self, error=None):
        self.count = 0
        self.error = error

    def __call__(self):
        self.count += 1
        if self.error:
            raise self.error


async def get(client, target="/x", **kind):
    return await client.exchange("GET", target, {"Authorization": "Bot canary"}, **kind).response()


async def answering(talk):
    """Answer everything as it should be."""
    while True:
        request = await talk.request()
        body = request.split(b" ", 2)[1]
        await talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


async def silent(talk):
    await talk.request()
    await talk.gone()


def once(*pieces, then="close"):
    """Return a talk that sends `pieces` after each request, and then ends the connection or does nothing."""

    async def talk(conversation):
        while True:
            await conversation.request()
            await conversation.send(*pieces)
            if then != "stay":
                getattr(conversation, then)()
                return

    return talk


async def test_connections_are_used_again_the_last_one_first():
    async def numbering(talk):
        while True:
            await talk.request()
            await talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % talk.number)

    async with odd_server(numbering) as server, client_of(server) as client:
        await asyncio.gather(*(get(client) for _ in range(3)))
        assert server.connections == 3
        assert len({(await get(client)).body for _ in range(20)}) == 1
        assert server.connections == 3


async def test_more_requests_than_connections_wait_for_one():
    async with odd_server(answering) as server, client_of(server, max_connections=2) as client:
        answers = await asyncio.gather(*(get(client, f"/{number}") for number in range(50)))
        assert [answer.body for answer in answers] == [b"/api/%d" % number for number in range(50)]
        assert server.connections == 2


async def test_waiting_for_a_connection_counts_towards_the_timeout():
    writes = Writes()
    async with odd_server(silent) as server, client_of(server, max_connections=1) as client:
        first = asyncio.create_task(get(client))
        await eventually(lambda: server.requests)
        with pytest.raises(NoAnswerError, match="no connection in time"):
            await get(client, timeout_s=0.01, before_write=writes)
        assert writes.count == 0
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first


async def finished(client):
    """Await a response; if cancelled after the request was written, await it again in the background."""
    writes = Writes()
    exchange = client.exchange("GET", "/x", {}, before_write=writes)
    try:
        return await exchange.response()
    except asyncio.CancelledError:
        if writes.count:
            await exchange.response()
        raise


async def test_requests_cancelled_in_the_queue_leave_no_connection_behind():
    """Cancelled under contention, a pool of another library lost its connections one by one."""
    async with odd_server(answering) as server, client_of(server, max_connections=3) as client:
        for round_ in range(40):
            requests = [asyncio.create_task(finished(client)) for _ in range(12)]
            for _ in range(round_ % 8):
                await asyncio.sleep(0)
            for number, request in enumerate(requests):
                if (number + round_) % 3:
                    request.cancel()
            results = await asyncio.gather(*requests, return_exceptions=True)
            assert {type(result).__name__ for result in results} <= {"HttpResponse", "CancelledError"}
        answers = await asyncio.gather(*(get(client) for _ in range(9)))
        assert [answer.status for answer in answers] == [200] * 9
        assert client._pool._slots + len(client._pool._all) == 3
        assert not client._pool._waiting


@pytest.mark.parametrize("before", [b"", HELLO[:9], HELLO[:-2], HELLO])
@pytest.mark.parametrize("between", [False, True])
async def test_an_exchange_whose_caller_was_cancelled_goes_on(before, between):
    """Its response may have begun before the cancellation, and end before or after the caller notices it."""
    writes = Writes()
    async with odd_server(silent) as server, client_of(server, max_connections=1) as client:
        exchange = client.exchange("GET", "/x", {}, before_write=writes)
        caller = asyncio.create_task(exchange.response())
        await eventually(lambda: server.requests)
        [connection] = client._pool._all
        pieces = [before, HELLO[len(before) :]]
        connection.data_received(pieces[0])
        caller.cancel()
        if between and pieces[1]:
            connection.data_received(pieces.pop())
        with pytest.raises(asyncio.CancelledError):
            await caller
        again = asyncio.create_task(exchange.response())
        await asyncio.sleep(0)
        if len(pieces) > 1 and pieces[1]:
            assert client._pool._slots == 0
            assert not again.done()
            connection.data_received(pieces[1])
        assert (await again).body == b"hello"
        assert (writes.count, server.connections, list(client._pool._idle)) == (1, 1, [connection])


@pytest.mark.parametrize("cause", ["timeout", "close"])
async def test_an_exchange_whose_caller_was_cancelled_may_fail(cause):
    async with odd_server(silent) as server, client_of(server, timeout_s=30) as client:
        exchange = client.exchange("GET", "/x", {})
        caller = asyncio.create_task(exchange.response())
        await eventually(lambda: server.requests)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        if cause == "close":
            client._pool.close()
        else:
            [connection] = client._pool._all
            connection.expire()  # as its timer does
        with pytest.raises(NoAnswerError, match="no answer in time" if cause == "timeout" else "closed"):
            await exchange.response()
        await eventually(lambda: server.open == 0)
        assert (client._pool._slots, len(client._pool._all)) == (512, 0)


async def test_cancelling_while_the_connection_is_made_leaves_none():
    async with odd_server(answering) as server, client_of(server) as client:
        writes = Writes()
        request = asyncio.create_task(get(client, before_write=writes))
        await asyncio.sleep(0)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        assert (writes.count, client._pool._slots) == (0, 512)
        await eventually(lambda: server.open == 0)


async def test_what_before_write_raises_keeps_the_connection_and_sends_nothing():
    async with odd_server(answering) as server, client_of(server) as client:
        for _ in range(3):
            with pytest.raises(KeyError):
                await get(client, before_write=Writes(KeyError("expired")))
        assert (await get(client)).status == 200
        assert (server.connections, len(server.requests)) == (1, 1)


@pytest.mark.parametrize("status", [b"200 OK", b"204 No Content"])
@pytest.mark.parametrize("end", ["close", "reset"])
async def test_a_server_that_promises_to_stay_and_closes_at_once(status, end):
    """Another client used such connections again, and failed every second time."""
    answer = b"HTTP/1.1 " + status + b"\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n"
    async with odd_server(once(answer, then=end)) as server, client_of(server) as client:
        for number in range(10):
            assert (await get(client)).status in {200, 204}
            [idle] = client._pool._idle
            await eventually(lambda idle=idle: not idle.is_alive())
            assert server.connections == number + 1


async def test_an_end_that_the_loop_has_not_noticed_is_seen_before_a_request_is_written():
    async with odd_server(answering) as server, client_of(server) as client:
        await get(client)
        [idle] = client._pool._idle
        ours = idle.transport.get_extra_info("socket")
        with socket.socket(fileno=socket.dup(ours.fileno())) as same:
            same.shutdown(socket.SHUT_RD)  # as if FIN had come while this step of the loop runs
        assert not idle.transport.is_closing()
        assert (await get(client)).status == 200
        assert server.connections == 2


async def test_bytes_that_nobody_asked_for_end_an_idle_connection():
    async def babble(talk):
        await talk.request()
        await talk.send(HELLO)
        if talk.number == 1:
            await later.wait()
            await talk.send(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await talk.gone()

    later = asyncio.Event()
    async with odd_server(babble) as server, client_of(server) as client:
        assert (await get(client)).body == b"hello"
        [idle] = client._pool._idle
        later.set()
        await eventually(lambda: not idle.is_alive())
        assert (await get(client)).body == b"hello"
        assert server.connections == 2


@pytest.mark.parametrize("extra", [HELLO, b"HTTP/1.1 200 OK\r\n", b"garbage", b"\0"])
async def test_what_follows_an_answer_is_taken_for_no_other(extra):
    async with odd_server(once(HELLO + extra, then="stay")) as server, client_of(server) as client:
        for _ in range(3):
            assert (await get(client)).body == b"hello"
        assert server.connections == 3


@pytest.mark.parametrize("end", ["close", "reset"])
@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Le"])
async def test_a_connection_that_breaks_before_the_headers_end(end, sent):
    writes = Writes()
    async with odd_server(once(sent, then=end)) as server, client_of(server) as client:
        with pytest.raises(NoAnswerError) as failed:
            await get(client, before_write=writes)
    assert not isinstance(failed.value, UnreadableAnswerError)
    assert (writes.count, len(server.requests)) == (1, 1)  # it may have been received; not repeated
    assert "canary" not in repr(failed.value)


async def test_a_kept_connection_that_breaks_under_a_request_is_not_tried_again():
    async def second_one_breaks(talk):
        await talk.request()
        await talk.send(HELLO)
        await talk.request()
        talk.reset()

    writes = Writes()
    async with odd_server(second_one_breaks) as server, client_of(server) as client:
        await get(client)
        with pytest.raises(NoAnswerError):
            await client.exchange("POST", "/x", {}, b"{}", before_write=writes).response()
        assert (writes.count, len(server.requests), server.connections) == (1, 2, 1)
        assert (await get(client)).body == b"hello"


@pytest.mark.parametrize("end", ["close", "reset"])
@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 10\r\n\r\nhello",
        CHUNKED,
        CHUNKED + b"5\r\nhello\r\n",
        CHUNKED + b"5\r\nhello\r\n0\r\n",
        CHUNKED + b"5\r\nhello\r\n0\r\nTrailer: x\r\n",
        CHUNKED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + b"5\r\nhello\r\n",
    ],
)
async def test_a_body_that_breaks_off_is_lost(sent, end):
    async with odd_server(once(sent, then=end)) as server, client_of(server) as client:

        async def broken():
            answer = await get(client)
            return (answer.status, answer.body, answer.cut) == (200, b"", "lost")

        try:
            assert await broken()
        except NoAnswerError:
            assert end == "reset"  # overtook what was sent before
        assert client._pool._slots == 512


async def test_a_body_without_a_length_ends_with_the_connection():
    async with odd_server(once(b"HTTP/1.0 200 OK\r\n\r\nhel", b"lo")) as server, client_of(server) as client:
        for _ in range(2):
            answer = await get(client)
            assert (answer.body, answer.cut) == (b"hello", "")
        assert (server.connections, client._pool._slots) == (2, 512)


async def test_a_reset_is_no_end_of_a_body():
    pieces = [b"HTTP/1.1 200 OK\r\n\r\n", b"hel"]

    async def talk(conversation):
        await conversation.request()
        await conversation.send(*pieces)
        await arrived.wait()
        conversation.reset()

    arrived = asyncio.Event()
    async with odd_server(talk) as server, client_of(server) as client:
        request = asyncio.create_task(get(client))
        await eventually(lambda: any(connection._body == b"hel" for connection in client._pool._all))
        arrived.set()
        answer = await request
        assert (answer.body, answer.cut) == (b"", "lost")


async def test_interim_answers_are_passed_over():
    """A client took 102 for the answer and waited for the end of its body."""
    interim = [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\n\r\n",
        b"HTTP/1.1 103 x\r\nLink: </>\r\n\r\n",
    ]
    for pieces in ((*interim, HELLO), (b"".join(interim) + HELLO,)):
        async with odd_server(once(*pieces, then="stay")) as server, client_of(server) as client:
            for _ in range(3):
                answer = await get(client)
                assert (answer.status, answer.body, "link" in answer.headers) == (200, b"hello", False)
            assert server.connections == 1


async def test_an_interim_answer_alone_is_none():
    async with odd_server(once(b"HTTP/1.1 103 x\r\n\r\n")) as server, client_of(server) as client:
        with pytest.raises(NoAnswerError, match="connection closed"):
            await get(client)


@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x00",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 20_000 + b"Content-Length: 0\r\n\r\n",
        b"220 mail.test ESMTP\r\n",
    ],
)
async def test_what_is_no_http_within_the_bounds_is_unreadable(sent):
    async with odd_server(once(sent, then="stay")) as server, client_of(server) as client:
        with pytest.raises(UnreadableAnswerError):
            await get(client)
        assert client._pool._slots == 512


async def test_trailers_do_not_disturb_the_next_answer():
    """A client took trailers for the beginning of the next answer."""
    body = b"2\r\nhi\r\n3;x=y\r\n ho\r\n0\r\nX-Checksum: 1\r\nX-Other: 2\r\n\r\n"
    pieces = [CHUNKED, *(body[at : at + 1] for at in range(len(body)))]
    async with odd_server(once(*pieces, then="stay")) as server, client_of(server) as client:
        for _ in range(3):
            answer = await get(client)
            assert (answer.body, dict(answer.headers)) == (b"hi ho", {"transfer-encoding": "chunked"})
        assert server.connections == 1


@pytest.mark.parametrize("coding", [b"gzip", b"deflate"])
async def test_compressed_answers_come_through(coding):
    text = b'{"id": "1"}' * 100
    packed = gzip.compress(text) if coding == b"gzip" else zlib.compress(text)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: %b\r\nContent-Length: %d\r\n\r\n" % (coding, len(packed))
    async with odd_server(once(head, packed[:9], packed[9:], then="stay")) as server, client_of(server) as client:
        for _ in range(2):
            assert (await get(client)).body == text
        assert server.connections == 1
        assert b"\r\nAccept-Encoding: gzip, deflate\r\n" in server.requests[0]


async def test_an_answer_that_inflates_beyond_the_limit_is_not_kept():
    packed = gzip.compress(bytes(10_000_000))
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    async with (
        odd_server(once(head + packed, then="stay")) as server,
        client_of(server, answer_limit_bytes=100_000) as client,
    ):
        answer = await get(client)
        assert (answer.status, answer.body, answer.cut) == (200, b"", "large")


async def test_a_body_beyond_the_limit_is_not_read_to_its_end():
    async def endless(talk):
        await talk.request()
        await talk.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await talk.send(bytes(65536))

    async with odd_server(endless) as server, client_of(server, answer_limit_bytes=1_000_000) as client:
        answer = await get(client)
        assert (answer.status, answer.body, answer.cut) == (200, b"", "large")
        await eventually(lambda: server.open == 0)


async def test_the_answer_to_head_has_no_body_and_leaves_none_behind():
    """A client took the body that a server had sent after HEAD for the next answer."""
    async with odd_server(once(HELLO, then="stay")) as server, client_of(server) as client:
        for _ in range(2):
            answer = await client.exchange("HEAD", "/x", {}).response()
            assert (answer.body, answer.headers["content-length"]) == (b"", "5")
        assert server.connections == 2


async def test_304_with_a_body_ends_the_connection():
    """A client waited for the length of a 304, another passed on what followed it."""
    sent = b"HTTP/1.1 304 Not Modified\r\nConnection: keep-alive\r\n\r\ntest"
    async with odd_server(once(sent, then="stay")) as server, client_of(server) as client:
        for _ in range(2):
            answer = await get(client)
            assert (answer.status, answer.body) == (304, b"")
        assert server.connections == 2


@pytest.mark.parametrize("sent", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"])
async def test_slow_bytes_do_not_extend_the_timeout(sent):
    async def drip(talk):
        await talk.request()
        await talk.send(sent)
        while True:
            await talk.send(b"x")
            await asyncio.sleep(0.01)

    async with odd_server(drip) as server, client_of(server, timeout_s=1.0) as client:
        if b"Content-Length" in sent:
            assert (await get(client)).cut == "lost"
        else:
            with pytest.raises(NoAnswerError, match="no answer in time"):
                await get(client)
        await eventually(lambda: server.open == 0)


async def test_a_timeout_within_the_body_leaves_the_status():
    head = b"HTTP/1.1 201 Created\r\nX-RateLimit-Remaining: 4\r\nContent-Length: 5\r\n\r\nhel"
    async with odd_server(once(head, then="stay")) as server, client_of(server, timeout_s=1.0) as client:
        answer = await get(client)
        assert (answer.status, answer.cut, answer.headers["X-RateLimit-Remaining"]) == (201, "lost", "4")


async def test_a_silent_server_is_given_up():
    writes = Writes()
    async with odd_server(silent) as server, client_of(server) as client:
        with pytest.raises(NoAnswerError, match="no answer in time"):
            await get(client, timeout_s=0.05, before_write=writes)
        assert writes.count == 1
        await eventually(lambda: server.open == 0)


@pytest.mark.parametrize("end", ["close", "stay"])
async def test_an_answer_before_the_request_was_read(end):
    async def early(talk):
        await talk.reader.readuntil(b"\r\n\r\n")
        await talk.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")
        await answered.wait()

    answered = asyncio.Event()
    async with odd_server(early) as server, client_of(server) as client:
        answer = await client.exchange("POST", "/x", {}, bytes(20_000_000)).response()
        answered.set()
        assert (answer.status, answer.body) == (413, b"no")
        assert not client._pool._idle
        await eventually(lambda: server.open == 0)


async def test_a_large_request_arrives_whole():
    body = bytes(range(256)) * 20_000
    async with odd_server(once(HELLO, then="stay")) as server, client_of(server) as client:
        assert (await client.exchange("POST", "/x", {}, body).response()).body == b"hello"
        assert server.requests[0].endswith(b"\r\n\r\n" + body)
        assert len(client._pool._idle) == 1


async def test_no_connection_is_unsent():
    writes = Writes()
    async with odd_server(answering) as server:
        pass
    async with client_of(server) as client:
        with pytest.raises(NoAnswerError, match="ConnectionRefusedError"):
            await get(client, before_write=writes)
        assert (writes.count, client._pool._slots) == (0, 512)


async def test_a_name_that_nobody_knows_is_unsent():
    async with Http1Client(HttpOptions("http://discord.invalid", "test")) as client:
        with pytest.raises(NoAnswerError, match="gaierror"):
            await get(client)


async def test_the_timeout_of_connecting_is_one_of_its_own():
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf, contextlib.ExitStack() as stack:
        address = deaf.getsockname()
        for _ in range(4):  # until nothing more is taken in
            full = stack.enter_context(socket.socket())
            full.settimeout(0)
            full.connect_ex(address)
        options = HttpOptions(f"http://127.0.0.1:{address[1]}", "test", connect_timeout_s=0.05)
        async with Http1Client(options) as client:
            writes = Writes()
            with pytest.raises(NoAnswerError, match="no connection in time"):
                await get(client, before_write=writes)
            assert (writes.count, client._pool._slots) == (0, 512)


async def test_a_server_that_closes_at_once_got_nothing():
    async def closing(talk):
        talk.close()

    async with odd_server(closing) as server, client_of(server) as client:
        with pytest.raises(NoAnswerError):
            await get(client)
        assert client._pool._slots == 512


async def test_idle_connections_are_closed(monkeypatch):
    monkeypatch.setattr(pool, "IDLE_S", 0.05)
    async with odd_server(answering) as server, client_of(server) as client:
        await asyncio.gather(get(client), get(client))
        await eventually(lambda: server.open == 0)
        assert (len(client._pool._idle), len(client._pool._all), client._pool._slots) == (0, 0, 512)
        assert (await get(client)).status == 200


async def test_a_connection_is_given_up_before_the_time_that_the_server_announces():
    head = b"HTTP/1.1 200 OK\r\nKeep-Alive: max=9, timeout=%d\r\nContent-Length: 0\r\n\r\n"
    for seconds, connections in ((5, 1), (1, 2), (0, 2), (999_999_999, 1)):
        async with odd_server(once(head % seconds, then="stay")) as server, client_of(server) as client:
            await get(client)
            await get(client)
            assert server.connections == connections
            left = client._pool._idle[0].idle_until - asyncio.get_running_loop().time()
            assert left <= min(15, seconds - 1)


async def test_leaving_the_client_ends_everything():
    writes = Writes()
    async with odd_server(silent) as server:
        async with client_of(server, max_connections=2) as client:
            requests = [asyncio.create_task(get(client, before_write=writes)) for _ in range(4)]
            await eventually(lambda: len(server.requests) == 2)
        results = await asyncio.gather(*requests, return_exceptions=True)
        assert [str(result) for result in results] == ["the client is closed"] * 4
        assert writes.count == 2
        await eventually(lambda: server.open == 0)
        with pytest.raises(NoAnswerError, match="the client is closed"):
            await get(client)

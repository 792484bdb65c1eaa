"""The pipeline on real servers: all transports and event loops, and the loss of the server."""

import asyncio
import signal
import time
from collections.abc import Callable
from contextlib import asynccontextmanager

import pytest
import redis
import uvloop
from redis.exceptions import AuthenticationError, NoScriptError, ResponseError

from discordproxy_ratelimit.redis.client import connect, open_pipeline, run_id_behind
from discordproxy_ratelimit.redis.pipeline import NotSentError, OutcomeUnknownError
from fakes.eventually import eventually
from fakes.ports import free_port
from processes.redis_servers import Server, Servers, Tls, blocking, running, system_redis

BOUND_S = 20.0
"""For a busy machine."""


class Tcp(Servers):
    """A server on the network that wants a password."""

    def __init__(self, binary: str) -> None:
        super().__init__(binary)
        port = free_port()
        self.add("server.conf", "--port", str(port), "--requirepass", "s%cret", "--save", "")
        self.url = f"redis://:s%25cret@127.0.0.1:{port}/3"


def nothing() -> None:
    """What most tests do about a loss."""


@asynccontextmanager
async def pipeline_to(url: str, *, timeout_s: float = BOUND_S, on_lost: Callable[[], None] = nothing):
    client = connect(url, timeout_s=BOUND_S)
    pipeline = await open_pipeline(client, timeout_s=timeout_s, on_lost=on_lost)
    try:
        yield pipeline
    finally:
        pipeline.close()
        await client.aclose()


@pytest.fixture(scope="module", params=["unix", "tcp", "resp3", "tls"])
def server(request, valkey_binary):
    shapes = {"unix": Server, "tcp": Tcp, "resp3": Tcp, "tls": Tls}
    shape = shapes[request.param]
    with running(shape(system_redis() if shape is Tls else valkey_binary)) as servers:
        servers.pipeline_url = servers.url
        if request.param == "resp3":
            servers.pipeline_url += "?protocol=3&client_name=our-name"
        yield servers


@pytest.fixture
def own_server(valkey_binary):
    with running(Server(valkey_binary)) as servers:
        yield servers


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_commands_and_units_of_many_callers(server, run):
    async def caller(pipeline, number):
        for turn in range(20):
            key = f"{{dp:1}}:{number}"
            assert await pipeline.send("SET", key, turn) == b"OK"
            assert await pipeline.send_all([("GET", key), ("INCR", key), ("GET", "{dp:1}:none")]) == [
                *(b"%d" % turn, turn + 1, None)
            ]
            reply = await pipeline.send("EVAL", "return {KEYS[1], ARGV[1], 3, false}", 1, key, b"\x00\xff")
            assert reply == [key.encode(), b"\x00\xff", 3, None]

    async def story():
        async with pipeline_to(server.pipeline_url) as pipeline:
            await asyncio.gather(*(caller(pipeline, number) for number in range(64)))
            assert pipeline.is_open

    run(story())


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_large_commands_and_replies(server, run):
    async def story():
        async with pipeline_to(server.pipeline_url) as pipeline:
            large = b"x" * 5_000_000
            for _ in range(3):
                set_, get, length = (
                    pipeline.send("SET", "{dp:1}:large", large),
                    pipeline.send("GET", "{dp:1}:large"),
                    pipeline.send("STRLEN", "{dp:1}:large"),
                )
                assert await asyncio.gather(set_, get, length) == [b"OK", large, len(large)]
            await pipeline.send("UNLINK", "{dp:1}:large")

    run(story())


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_what_a_script_or_command_is_refused_with(server, run):
    async def story():
        async with pipeline_to(server.pipeline_url) as pipeline:
            with pytest.raises(NoScriptError):
                await pipeline.send("EVALSHA", "0" * 40, 0)
            with pytest.raises(ResponseError):
                await pipeline.send("EVAL", "return redis.error_reply('ERR of ours')", 1, "{dp:1}:any")
            with pytest.raises(ResponseError):
                await pipeline.send_all([("SET", "{dp:1}:text", "x"), ("INCR", "{dp:1}:text")])
            assert pipeline.is_open

    run(story())


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_closed_pipeline_leaves_no_connection(server, run):
    async def story():
        before = operator.info("clients")["connected_clients"]
        for _ in range(3):
            async with pipeline_to(server.pipeline_url) as pipeline:
                await pipeline.send("GET", "{dp:1}:any")
                assert operator.info("clients")["connected_clients"] == before + 1
        await eventually(lambda: operator.info("clients")["connected_clients"] == before)

    with blocking(server.operator_url) as operator:
        run(story())


async def test_a_login_is_redis_pys(valkey_binary):
    with running(Tcp(valkey_binary)) as server:
        async with pipeline_to(f"{server.url}?client_name=our-name&protocol=3") as pipeline:
            assert await pipeline.send("CLIENT", "GETNAME") == b"our-name"
            about = dict(pair.split(b"=", 1) for pair in (await pipeline.send("CLIENT", "INFO")).split())
            assert (about[b"db"], about[b"resp"]) == (b"3", b"3")
            assert await run_id_behind(pipeline) == blocking(server.url).info("server")["run_id"]
        with pytest.raises(AuthenticationError):
            async with pipeline_to(server.url.replace("s%25cret", "wrong")):
                pass


async def test_cancelled_callers_take_nobodys_reply(own_server):
    async def call(number):
        return await pipeline.send("ECHO", number)

    async with pipeline_to(own_server.url) as pipeline:
        for turns in range(20):
            calls = [asyncio.create_task(call(number)) for number in range(10)]
            for _ in range(turns):
                await asyncio.sleep(0)
            for task in calls[::2]:
                task.cancel()
            replies = await asyncio.gather(*calls, return_exceptions=True)
            assert replies[1::2] == [b"%d" % number for number in range(1, 10, 2)]


async def test_a_reply_that_came_while_this_process_stood_still_is_taken(own_server):
    async with pipeline_to(own_server.url, timeout_s=0.2) as pipeline:
        reply = pipeline.send("ECHO", "here")
        await asyncio.sleep(0)
        time.sleep(0.5)  # noqa: ASYNC251 - that is the accident
        assert await reply == b"here"


async def test_a_server_that_does_not_answer_ends_it_and_nothing_is_repeated(own_server):
    lost = asyncio.Event()
    async with pipeline_to(own_server.url, timeout_s=0.2, on_lost=lost.set) as pipeline:
        assert await pipeline.send("INCR", "counted") == 1
        own_server.send_signal(signal.SIGSTOP)
        with pytest.raises(OutcomeUnknownError):
            await pipeline.send("INCR", "counted")
        assert lost.is_set()
        with pytest.raises(NotSentError):
            pipeline.send("INCR", "counted")
        own_server.send_signal(signal.SIGCONT)
    with blocking(own_server.url) as operator:
        assert operator.get("counted") in {b"1", b"2"}


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_connection_that_the_server_ends_fails_what_is_under_way(server, run):
    async def story():
        lost = asyncio.Event()
        async with pipeline_to(server.pipeline_url, on_lost=lost.set) as pipeline:
            address = await address_of(pipeline)
            blocked = pipeline.send("BLPOP", "{dp:1}:nothing", 600)  # the last command there: nobody waits behind it
            await eventually(lambda: operator.info("clients")["blocked_clients"] == 1)
            operator.execute_command("CLIENT", "KILL", "ADDR", address)
            with pytest.raises(OutcomeUnknownError):
                await blocked
            assert lost.is_set()
            assert not pipeline.is_open

    async def address_of(pipeline):
        await pipeline.send("SET", "{dp:1}:mine", 1)
        (mine,) = [client for client in operator.client_list() if client["cmd"] == "set"]
        return mine["addr"]

    with blocking(server.operator_url) as operator:
        run(story())


async def test_a_server_that_is_killed_is_noticed_without_a_call(own_server):
    lost = asyncio.Event()
    async with pipeline_to(own_server.url, on_lost=lost.set) as pipeline:
        own_server.stop()
        await asyncio.wait_for(lost.wait(), BOUND_S)
        assert not pipeline.is_open
        with pytest.raises(redis.exceptions.ConnectionError):
            async with pipeline_to(own_server.url):
                pass

"""Names and behaviour of discord.py that the gateway worker relies on, private ones among them.

A new minor version is taken only when these pass on it; each says what moved.
"""

import asyncio
import inspect
import warnings

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # discord.py imports audioop
    import discord
    from discord.gateway import DiscordWebSocket, KeepAliveHandler, ReconnectWebSocket
    from discord.http import HTTPClient, Route

from discordproxy_gateway.discord import bot_client
from discordproxy_gateway.discord.dispatch import Dispatch
from discordproxy_gateway.discord.inflate import Inflate
from discordproxy_gateway.discord.session import Session
from fakes.gateway import TOKEN, FakeGateway
from fakes.http_proxy import http_proxy

INTENTS = 1


class Recording:
    """A listener that records everything in order."""

    def __init__(self) -> None:
        self.events: list[tuple[str, int]] = []
        self.identifies = self.resumes = self.acks = 0
        self.stored_sequence: int | None = None

    async def on_event(self, event: Dispatch) -> None:
        self.events.append((event.name, event.sequence))

    async def on_heartbeat_ack(self, latency_s: float) -> None:
        self.acks += 1

    async def before_resume(self) -> None:
        self.resumes += 1

    async def before_identify(self) -> None:
        self.identifies += 1


@pytest.fixture
async def fake():
    async with FakeGateway() as gateway:
        yield gateway


@pytest.fixture
async def bot(fake):
    bot = bot_client.BotClient(intents=INTENTS, rest_url=fake.rest_url)
    await bot.log_in(TOKEN)
    yield bot
    await bot.close()


def parameters(function) -> set[str]:
    return set(inspect.signature(function).parameters)


def test_version():
    assert discord.version_info[:2] == (2, 7), "read the release notes, run the fault tests, then change the pin"


def test_the_connection_takes_session_sequence_and_gateway():
    needed = {"client", "gateway", "shard_id", "session", "sequence", "resume"}
    assert needed <= parameters(DiscordWebSocket.from_client)


def test_names_of_the_socket():
    attributes = {"close", "poll_event", "received_message", "resume", "request_chunks", "HEARTBEAT", "RESUME"}
    assert attributes <= set(dir(DiscordWebSocket))
    assert {"guild_id", "query", "limit", "nonce"} <= parameters(DiscordWebSocket.request_chunks)
    source = inspect.getsource(DiscordWebSocket)
    pinned = ("self._keep_alive.tick()", "self.sequence = seq", "if op == self.HELLO:", "data['heartbeat_interval']")
    for name in (*pinned, "self._decompressor: utils._DecompressionContext", "self.socket"):
        assert name in source, f"{name} moved"


def test_the_heartbeat_asks_the_socket_for_its_sequence():
    assert "self.ws.sequence" in inspect.getsource(KeepAliveHandler.get_payload)
    assert "_last_ack" in inspect.getsource(KeepAliveHandler.ack)
    assert "latency" in inspect.getsource(KeepAliveHandler.ack)
    for name in ("_last_send", "interval", "heartbeat_timeout: float = ws._max_heartbeat_timeout"):
        assert f"{name}" in inspect.getsource(KeepAliveHandler.__init__), f"{name} moved"
    assert "_last_recv" in inspect.getsource(KeepAliveHandler.tick)
    assert "receive(timeout=self._max_heartbeat_timeout)" in inspect.getsource(DiscordWebSocket.poll_event)


def test_names_of_the_client(bot):
    for name in ("parsers", "shard_count", "call_hooks", "_update_references"):
        assert hasattr(bot._connection, name), f"_connection.{name} moved"
    for name in ("_async_setup_hook", "_closing_task", "before_identify_hook", "dispatch"):
        assert hasattr(bot, name), f"Client.{name} moved"
    assert {"static_login", "get_bot_gateway", "ws_connect", "request"} <= set(dir(HTTPClient))
    assert parameters(discord.Client.before_identify_hook) == {"self", "shard_id", "initial"}


def test_the_rest_base_is_an_attribute_of_the_route(bot, fake):
    assert Route("GET", "/users/@me").url == f"{fake.rest_url}/users/@me"


async def test_gateway_and_requests_take_the_http_proxies_of_their_own_urls(fake, monkeypatch):
    async with http_proxy(fake.port) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://us:pw@127.0.0.1:{proxy.port}")
        monkeypatch.setenv("NO_PROXY", "direct.test")
        bot = bot_client.BotClient(intents=INTENTS, rest_url="http://discord.test/api/v10")
        await bot.log_in(TOKEN)
        gateway = gateway_of(fake).replace("127.0.0.1", "gateway.test")
        socket = await bot_client.connect(bot, Recording(), shard_id=0, gateway=gateway, session=None)
        await socket.close_resumable()
        assert [line.split()[1].partition("?")[0] for line in proxy.lines] == [
            "http://discord.test/api/v10/users/@me",
            f"ws://gateway.test:{fake.port}/gateway",
        ]
        assert all("Proxy-Authorization: Basic dXM6cHc=" in head for head in proxy.heads)
        for url, used in (("ws://direct.test", None), (fake.rest_url, None), ("ws://other.test", proxy.port)):
            bot.use_proxy_for(url)
            assert bot.http.proxy == (used and f"http://us:pw@127.0.0.1:{used}")
        await asyncio.sleep(0)
        assert bot.http.proxy == f"http://us:pw@127.0.0.1:{proxy.port}", "requests take the one for their own URL again"
        await bot.close()


@pytest.mark.parametrize("code", [4004, 4010, 4011, 4012, 4013, 4014])
async def test_close_codes_that_cannot_be_resumed(bot, fake, code):
    fake.identify_answer = code
    socket = await bot_client.connect(bot, Recording(), shard_id=0, gateway=gateway_of(fake), session=None)
    with pytest.raises(discord.ConnectionClosed) as error:
        await read(socket)
    assert bot_client.end_of(error.value, socket).code == code
    await socket.close_resumable()


@pytest.mark.parametrize("code", [1000, 1001, 4000, 4001, 4007, 4008, 4009])
async def test_close_codes_after_which_discord_may_be_asked_again(bot, fake, code):
    socket = await bot_client.connect(bot, Recording(), shard_id=0, gateway=gateway_of(fake), session=None)
    await fake.until(lambda: fake.live)
    await fake.close(code)
    with pytest.raises(ReconnectWebSocket) as error:
        await read(socket)
    assert error.value.resume
    end = bot_client.end_of(error.value, socket)
    assert end.code in {code, None}
    assert end.must_identify == (code in {4007, 4009})


async def test_events_arrive_in_order_with_their_sequence(bot, fake):
    fake.guilds = {"4194304": {"id": "4194304", "name": "home"}}
    listener = Recording()
    socket = await bot_client.connect(bot, listener, shard_id=0, gateway=gateway_of(fake), session=None)
    while len(listener.events) < 2:
        await socket.poll_event()
    await fake.emit("SOMETHING_NEW", {})
    while len(listener.events) < 3:
        await socket.poll_event()
    assert listener.events == [("READY", 1), ("GUILD_CREATE", 2), ("SOMETHING_NEW", 3)]
    assert listener.identifies == 1
    assert listener.acks == 0  # the first heartbeat takes its time
    await socket.close_resumable()


async def test_a_message_may_come_in_parts(bot, fake):
    class Parts:
        come = b""

        def decompress(self, data: bytes) -> str | None:
            self.come += data
            return self.come.decode() if self.come.endswith(b"}}") else None

    listener = Recording()
    socket = await bot_client.connect(bot, listener, shard_id=0, gateway=gateway_of(fake), session=None)
    socket._inflate = Inflate(Parts())
    await socket.received_message(b'{"op":0,"t":"TYPING_START","s":9,')
    assert listener.events == []
    await socket.received_message(b'"d":{}}')
    assert listener.events == [("TYPING_START", 9)]
    await socket.close_resumable()


async def test_every_event_is_a_sign_of_life(bot, fake):
    listener = Recording()
    socket = await bot_client.connect(bot, listener, shard_id=0, gateway=gateway_of(fake), session=None)
    keep_alive = socket._keep_alive
    while not listener.events:
        await socket.poll_event()
    keep_alive._last_recv = 0.0
    await fake.emit("TYPING_START", {})
    while len(listener.events) < 2:
        await socket.poll_event()
    assert keep_alive._last_recv > 0.0
    await socket.close_resumable()


async def test_the_first_heartbeat_comes_within_the_first_interval_and_is_answered():
    async with FakeGateway(heartbeat_s=5.0) as fake:
        bot = bot_client.BotClient(intents=INTENTS, rest_url=fake.rest_url)
        await bot.log_in(TOKEN)
        listener = Recording()
        socket = await bot_client.connect(bot, listener, shard_id=0, gateway=gateway_of(fake), session=None)
        async with asyncio.timeout(30):
            while not listener.acks:
                await socket.poll_event()
        assert socket._keep_alive.latency < 5
        await socket.close_resumable()
        await bot.close()


async def test_an_answer_that_is_faster_than_the_librarys_thread_has_a_true_latency(bot, fake):
    listener = Recording()
    socket = await bot_client.connect(bot, listener, shard_id=0, gateway=gateway_of(fake), session=None)
    keep_alive = socket._keep_alive
    keep_alive._last_send -= 41.0  # the thread notes the new time only after the send, and may be late
    await socket.send_heartbeat(keep_alive.get_payload())
    async with asyncio.timeout(30):
        while not listener.acks:
            await socket.poll_event()
    assert keep_alive.latency < 30
    await socket.close_resumable()


async def test_events_may_stay_unread_unless_the_latency_is_measured(bot, fake):
    listener = Recording()
    socket = await bot_client.connect(bot, listener, shard_id=0, gateway=gateway_of(fake), session=None)
    while not listener.events:
        await socket.poll_event()
    assert socket.gather(100)
    await fake.emit("TYPING_START", {})
    socket.stop_gathering()
    while len(listener.events) < 2:
        await socket.poll_event()
    await socket.send_heartbeat(socket._keep_alive.get_payload())
    assert not socket.gather(100)
    while not listener.acks:
        await socket.poll_event()
    assert socket.gather(100)
    await socket.close_resumable()
    assert not socket.gather(100)


async def test_a_silent_connection_is_left(fake):
    """Reading has no time limit of its own; the watch ends it, and the session can be resumed."""
    bot = bot_client.BotClient(intents=INTENTS, rest_url=fake.rest_url, silence_s=0.3)
    await bot.log_in(TOKEN)
    socket = await bot_client.connect(bot, Recording(), shard_id=0, gateway=gateway_of(fake), session=None)
    watching = asyncio.create_task(socket.watch())
    async with asyncio.timeout(30):
        with pytest.raises(ReconnectWebSocket) as error:
            await read(socket)
        await watching
    assert error.value.resume
    assert fake.close_codes == [4000]
    await bot.close()


async def test_heartbeats_confirm_only_what_is_stored(bot, fake):
    listener = Recording()
    socket = await bot_client.connect(bot, listener, shard_id=0, gateway=gateway_of(fake), session=None)
    while not listener.events:
        await socket.poll_event()
    assert socket._keep_alive.get_payload()["d"] is None
    listener.stored_sequence = 1
    assert socket._keep_alive.get_payload()["d"] == 1
    await socket.close_resumable()


async def test_resume_repeats_what_was_not_stored(bot, fake):
    listener = Recording()
    socket = await bot_client.connect(bot, listener, shard_id=0, gateway=gateway_of(fake), session=None)
    while not listener.events:
        await socket.poll_event()
    await socket.close_resumable()
    await fake.until(lambda: not fake.live)
    await fake.emit("TYPING_START", {})
    listener.stored_sequence = 1
    stored = Session(next(iter(fake.sessions)), 1, gateway_of(fake).replace("gateway", "resume"), "")
    socket = await bot_client.connect(bot, listener, shard_id=0, gateway=gateway_of(fake), session=stored)
    while len(listener.events) < 3:
        await socket.poll_event()
    assert listener.events[1:] == [("TYPING_START", 2), ("RESUMED", 3)]
    assert (listener.resumes, listener.identifies) == (1, 1)
    await socket.close_resumable()


@pytest.mark.parametrize("resumable", [True, False])
async def test_reconnect_and_invalid_session_reach_us(bot, fake, resumable):
    socket = await bot_client.connect(bot, Recording(), shard_id=0, gateway=gateway_of(fake), session=None)
    await fake.until(lambda: fake.live)
    await fake.invalidate(resumable=resumable)
    with pytest.raises(ReconnectWebSocket) as error:
        await read(socket)
    assert bot_client.end_of(error.value, socket).session_gone is not resumable


async def test_op_7_asks_for_a_resume(bot, fake):
    socket = await bot_client.connect(bot, Recording(), shard_id=0, gateway=gateway_of(fake), session=None)
    await fake.until(lambda: fake.live)
    await fake.ask_reconnect()
    with pytest.raises(ReconnectWebSocket) as error:
        await read(socket)
    assert not bot_client.end_of(error.value, socket).must_identify


async def test_a_refusal_before_identify_leaves_no_socket_open(bot, fake):
    class Refusing(Recording):
        async def before_identify(self) -> None:
            raise LookupError

    with pytest.raises(LookupError):
        await bot_client.connect(bot, Refusing(), shard_id=0, gateway=gateway_of(fake), session=None)
    await fake.until(lambda: fake.close_codes == [4000])
    assert fake.seen["identifies"] == 0


async def test_a_bad_token_is_a_login_failure(fake):
    bot = bot_client.BotClient(intents=INTENTS, rest_url=fake.rest_url)
    with pytest.raises(discord.LoginFailure):
        await bot.log_in("MTAwMDAwMDAwMDAwMDAwMDAx.bad.token")
    await bot.close()


def gateway_of(fake: FakeGateway) -> str:
    return f"ws://127.0.0.1:{fake.port}/gateway"


async def read(socket: bot_client.Socket) -> None:
    await socket.read()

"""The only place that speaks to Redis for the broker: the script, its keys, and whether the server is there.

`Link` is the connection all accounts of a process share; `Store` runs the script for one account.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from hashlib import sha1
from importlib.resources import files
from typing import Any

import orjson
from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError, ResponseError

from discordproxy_ratelimit.batch import Item
from discordproxy_ratelimit.errors import BrokerUnavailable

log = logging.getLogger(__name__)

PARTS = ("state", "limits", "queue", "slots", "grant", "acquire", "complete", "batch")
"""The broker's script, in the order in which its parts are joined."""

BOT_KEYS = ("g", "slots", "paced", "held", "workers", "routes", "blocks", "gq")


def script(*parts: str) -> str:
    """Return the text of a script made of these files of `lua/`."""
    folder = files("discordproxy_ratelimit") / "lua"
    return "\n".join((folder / f"{part}.lua").read_text() for part in parts)


class Script:
    """A Lua text and the name under which a server remembers it."""

    def __init__(self, *parts: str) -> None:
        self.text = script(*parts)
        self.sha = sha1(self.text.encode(), usedforsecurity=False).hexdigest()


class Link:
    """The connection to Redis: knows whether it is up, and which server answers.

    Attributes:
        run_id: of the server that answers; another one may have forgotten everything.
        memory_lost: whether this process has met another server before.
    """

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._first_run = ""
        self.run_id = ""
        self._up = asyncio.Event()
        self._down_since: float | None = None
        self._reconnecting: asyncio.Task[None] | None = None
        self.on_up: list[Callable[[bool], None]] = []
        self.on_down: list[Callable[[], None]] = []

    @property
    def memory_lost(self) -> bool:
        return self.run_id != self._first_run

    @property
    def is_up(self) -> bool:
        return self._up.is_set()

    def down_for_s(self) -> float:
        """Return for how long the server has not answered, 0 when it does."""
        return 0.0 if self._down_since is None else asyncio.get_running_loop().time() - self._down_since

    async def until_up(self) -> None:
        """Wait until the server answers."""
        if not self._up.is_set():
            self._reconnect()
        await self._up.wait()

    async def run(self, lua: Script, keys: list[str], arguments: list[Any]) -> Any:
        """Run a script once.

        Raises:
            BrokerUnavailable: no reply came; whether the script ran is not known.
        """
        try:
            async with asyncio.timeout(1.0):
                try:
                    return await self._client.evalsha(lua.sha, len(keys), *keys, *arguments)
                except NoScriptError:  # nothing has run, so once more is safe
                    return await self._client.eval(lua.text, len(keys), *keys, *arguments)
        except (RedisError, OSError, TimeoutError) as error:
            if isinstance(error, ResponseError):  # read-only, loading, no rights: the server is there but of no use
                log.error("Redis refuses the broker's script: %s", error)  # noqa: TRY400 - one line is enough
            self.lost(error)
            raise BrokerUnavailable("Redis does not answer", retry_after_s=1.0) from error

    def lost(self, error: Exception) -> None:
        """Note that the server does not answer, and start asking for it."""
        was_up = self._up.is_set()
        self._up.clear()
        if self._down_since is None:
            self._down_since = asyncio.get_running_loop().time()
        if was_up:
            log.warning("Redis does not answer (%s)", type(error).__name__)
            for callback in self.on_down:
                callback()
        self._reconnect()

    def _reconnect(self) -> None:
        if self._reconnecting is None or self._reconnecting.done():
            self._reconnecting = asyncio.create_task(self._connect(), name="broker-reconnect")

    async def _connect(self) -> None:
        pause_s = 0.02
        while True:
            try:
                async with asyncio.timeout(1.0):
                    run_id = str((await self._client.info("server"))["run_id"])
                break
            except (RedisError, OSError, TimeoutError):
                await self._client.connection_pool.disconnect(inuse_connections=False)
            await asyncio.sleep(pause_s)
            pause_s = min(0.25, pause_s * 1.5)
        other = bool(self.run_id) and run_id != self.run_id
        self._first_run = self._first_run or run_id
        self.run_id = run_id
        if self._down_since is not None and self.down_for_s() > 0:
            log.warning("Redis answers again%s", ", but it is another server or a new start of it" if other else "")
        self._down_since = None
        self._up.set()
        for callback in self.on_up:
            callback(other)

    async def set(self, key: str, value: bytes, *, ttl_s: float) -> None:
        """Keep a value for a while."""
        await self._guarded(self._client.set(key, value, px=int(ttl_s * 1000)))

    async def get(self, key: str) -> bytes | None:
        """Return a kept value."""
        value: bytes | None = await self._guarded(self._client.get(key))
        return value

    async def _guarded(self, command: Any) -> Any:
        try:
            async with asyncio.timeout(1.0):
                return await command
        except (RedisError, OSError, TimeoutError) as error:
            self.lost(error)
            raise BrokerUnavailable("Redis does not answer", retry_after_s=1.0) from error

    async def messages(self, *channels: str) -> AsyncIterator[bytes]:
        """Yield what others publish to these channels; a lost connection is made anew without a word."""
        while True:
            await self.until_up()
            try:
                async with self._client.pubsub(ignore_subscribe_messages=True) as inbox:
                    await inbox.subscribe(*channels)
                    while True:
                        message = await inbox.get_message(timeout=None)
                        if message is not None:
                            yield message["data"]
            except (RedisError, OSError) as error:
                log.debug("the inbox was cut (%s)", type(error).__name__)
                await asyncio.sleep(0.05)

    async def close(self) -> None:
        """Stop asking for the server and close the connections."""
        if self._reconnecting:
            self._reconnecting.cancel()
            await asyncio.gather(self._reconnecting, return_exceptions=True)
        with contextlib.suppress(RedisError, OSError):
            await self._client.aclose()


@dataclass(frozen=True, slots=True)
class Call:
    """What one script call answered.

    Attributes:
        replies: one per item.
        grants: (permit id, delay in us, bucket name) for this worker.
        pump_after_us: when the next global slot gets free while somebody waits for it.
        pump_is_ours: whether it will go to this worker.
        dead: a worker whose lease has ended, or empty.
        published: hints sent to other workers.
    """

    replies: list[list[Any]]
    grants: list[tuple[str, int, str]]
    pump_after_us: int | None
    pump_is_ours: bool
    dead: str
    published: int


class Store:
    """One account's state in Redis.

    Args:
        link: the shared connection.
        tag: the account's hash tag with its area, e.g. `{dp:1234}:rl:`; every key begins with it.
        worker: this worker's name, unique among all.
        channels: prefix of the inboxes.
        global_limit: requests per second; 0 or less means none is known, and the script gets a very large one.
        lease_s: how long Redis trusts this worker without a sign of life.
        clock: returns us; None means Redis TIME. Only simulations set it.
    """

    BROKER = Script(*PARTS)
    REAP = Script("reap")

    def __init__(
        self,
        link: Link,
        tag: str,
        *,
        worker: str,
        channels: str,
        global_limit: int,
        lease_s: float,
        clock: Callable[[], int] | None = None,
    ) -> None:
        self._link, self.tag, self._worker = link, tag, worker
        self._keys = [tag + name for name in BOT_KEYS]
        self._fixed = [global_limit, int(lease_s * 1e6), channels]
        self._clock = clock
        self.calls = 0

    def keys(self, lane: str, bucket: str, learned: str = "") -> list[str]:
        """Return the four keys an item works on."""
        name = self.tag
        return [f"{name}l:{lane}", f"{name}q:{lane}", f"{name}b:{bucket}", f"{name}b:{learned or bucket}"]

    async def run(self, items: list[Item]) -> Call:
        """Apply a batch of transitions in one atomic step.

        Raises:
            BrokerUnavailable: no reply came.
        """
        self.calls += 1
        keys = self._keys + [key or self._keys[0] for item in items for key in item.keys]
        now = str(self._clock()) if self._clock else ""
        lost = "1" if self._link.memory_lost else ""
        body = orjson.dumps([item.arguments for item in items])
        reply = await self._link.run(
            self.BROKER, keys, [now, self._worker, self._link.run_id, lost, *self._fixed, body]
        )
        replies, grants, pump, own, dead, published = reply
        return Call(
            [_texts(one) for one in replies],
            [(_text(grant[1]), int(grant[2]), _text(grant[3])) for grant in grants],
            int(pump) if pump else None,
            own == 1,
            _text(dead),
            published,
        )

    async def held_by(self, worker: str, cursor: str) -> tuple[str, list[tuple[str, str, str, str]]]:
        """Return the next cursor and some of what a worker holds: (id, route name, lane, bucket name)."""
        cursor_, flat = await self._link.run(self.REAP, [self.tag + "held", self.tag + "workers"], [worker, cursor, ""])
        texts = [_text(part) for part in flat]
        return _text(cursor_), [(texts[i], texts[i + 1], texts[i + 2], texts[i + 3]) for i in range(0, len(texts), 4)]

    async def forget_worker(self, worker: str) -> None:
        """Drop a dead worker's name after all it held is buried."""
        await self._link.run(self.REAP, [self.tag + "held", self.tag + "workers"], [worker, "0", "1"])


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _texts(reply: list[Any]) -> list[Any]:
    return [value.decode() if isinstance(value, bytes) else value for value in reply]

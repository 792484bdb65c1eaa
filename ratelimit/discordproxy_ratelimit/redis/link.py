"""The process's connection to Redis: runs scripts and commands, detects outages and other servers.

It does not repeat scripts and commands.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from hashlib import sha1
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, NoScriptError, RedisError, ResponseError

from discordproxy_ratelimit.errors import BrokerUnavailableError
from discordproxy_ratelimit.process.tasks import cancel, steadily
from discordproxy_ratelimit.process.trace import Trace, no_trace
from discordproxy_ratelimit.redis.client import (
    close_idle,
    node_of,
    open_pipeline,
    run_id_behind,
    run_id_of,
    subscription,
)
from discordproxy_ratelimit.redis.pipeline import Pipeline
from discordproxy_ratelimit.redis.refusals import failure_of
from discordproxy_ratelimit.redis.timeouts import StallTolerantTimeout

log = logging.getLogger(__name__)

FAILURES = (RedisError, OSError, TimeoutError)

ANSWER_S = 1.0
"""Timeout of a command, after which the server counts as unavailable."""

HEADER = "#!lua flags=allow-oom\n"

PROBE = f"{HEADER}return 1"
"""Refused by a server that would refuse our scripts: it is read-only or loads, or the user has no rights."""

MAX_PAUSE_S = 1.0
_REFUSAL_BEGIN = 40
"""Characters of a refusal by which it is recognized."""

KEPT = "kept"
"""File beside the private server's socket: the run id of a server with the complete state of the one before it."""


def script(*parts: str) -> str:
    """Return the text of a script made of these files of `lua/`."""
    folder = files("discordproxy_ratelimit") / "lua"
    return "\n".join((folder / f"{part}.lua").read_text() for part in parts)


class ScriptMissingError(Exception):
    """The server does not have the script; nothing has run."""


class Script:
    """A Lua text and the name under which a server remembers it.

    Args:
        parts: files of `lua/`, the first one with the header and the variables of a call.
        entry: the function of the parts that runs a call, if the script can also be a function of the server. Then the
            server does not make all functions of the script anew with each call: that costs more than most calls.

    Attributes:
        function: name of the server's function; empty without an entry.
        library: text of the library with this function.
    """

    def __init__(self, *parts: str, entry: str = "") -> None:
        self.text, self.function, self.library = script(*parts), "", ""
        if entry:
            variables, functions = script(parts[0]).removeprefix(HEADER), script(*parts[1:])
            self.function = f"discordproxy_{_hash(self.text)}"
            self.library = _LIBRARY.format(name=self.function, variables=variables, functions=functions, entry=entry)
            self.text = _CALL.format(header=HEADER, variables=variables, functions=functions, entry=entry)
        self.sha = _hash(self.text)


# Lua searches for each variable of a function that it makes, except for those of a function around it.
_CALL = """{header}local call_keys, call_arguments = KEYS, ARGV
{variables}
return (function()
{functions}
return {entry}(call_keys, call_arguments)
end)()
"""

_LIBRARY = """#!lua name={name}
{variables}
{functions}
redis.register_function{{ function_name = '{name}', callback = {entry}, flags = {{ 'allow-oom' }} }}
"""


def _hash(text: str) -> str:
    return sha1(text.encode(), usedforsecurity=False).hexdigest()


class Watcher(Protocol):
    """Is notified of outages of Redis."""

    def link_up(self, *, other_server: bool) -> None:
        """Redis is available; `other_server`: it may have lost its state."""

    def link_down(self) -> None:
        """Redis is unavailable."""


class RedisLink:
    """The connection to Redis, its state, and the run id of the server.

    Attributes:
        is_up: whether the server replied to the last command.
        run_id: of the server; one with another run id may have lost its state.
        memory_kept: whether the server is known to have the complete state of the one before it.
        watchers: notified when it becomes unavailable, and when it is available again.
        trace: starts the spans of commands.

    Args:
        client: of one server or of a Cluster.
        home: a key; in a Cluster, the server meant above is the node that holds it.
    """

    _pipeline: Pipeline | None = None

    def __init__(self, client: Redis, *, home: str = "home", trace: Trace = no_trace) -> None:
        self._client = client
        self.trace = trace
        self._home, self._node = home, ""
        self._first_run = ""
        self._failure = "does not answer"
        self._losses = 0  # in a row, without a script that ran in between
        self._logged_refusals: set[str] = set()
        self.run_id = ""
        self.memory_kept = False
        self.is_up = False
        self._up, self._subscribed = asyncio.Event(), asyncio.Event()
        self._down_since: float | None = None
        self._reconnecting: asyncio.Task[None] | None = None
        self._subscription: asyncio.Timeout | None = None  # of the connection that receives messages
        self._closed = False
        self._functions: dict[str, bool] = {}  # of this connection: whether the server runs them
        self.watchers: list[Watcher] = []

    @property
    def memory_lost(self) -> bool:
        """Whether this process was connected to another server before."""
        return self.run_id != self._first_run

    def down_for_s(self) -> float:
        """Return for how many seconds the server has been unavailable; 0 if it is available."""
        return 0.0 if self._down_since is None else asyncio.get_running_loop().time() - self._down_since

    async def until_up(self) -> None:
        """Wait until the server is available."""
        if not self.is_up:
            self._reconnect()
        await self._up.wait()

    async def until_subscribed(self) -> None:
        """Wait until `messages` receives all that is published from now on, or has failed for the first time."""
        await self._subscribed.wait()

    async def run(self, lua: Script, keys: list[str], arguments: list[Any]) -> Any:
        """Run a script once and return its reply. Raises as `execute`."""
        rest = (len(keys), *keys, *arguments)
        try:
            if self._functions.get(lua.function) or (lua.function and await self._load_function(lua)):
                reply = await self.execute("FCALL", lua.function, *rest)
            else:
                reply = await self.execute("EVALSHA", lua.sha, *rest)
        except ScriptMissingError:  # nothing has run, so a second attempt is safe
            self._functions[lua.function] = False
            reply = await self.execute("EVAL", lua.text, *rest)
        self._losses = 0
        self._logged_refusals.clear()
        if self._node and self._node != node_of(self._client, self._home):
            self._reconnect()  # a Cluster has moved our keys to another node, which has its own run id
        return reply

    async def execute(self, *command: Any) -> Any:
        """Run a command once and return its reply.

        It goes through the pipeline. For a Cluster, or while no pipeline is open, it takes a connection of the pool.

        Raises:
            BrokerUnavailableError: no usable reply; whether the command ran is unknown.
            ScriptMissingError: the server does not have the script or the function; nothing has run.
        """
        try:
            if self._pipeline is not None and self._pipeline.is_open:
                return await self._pipeline.send(*command)
            async with StallTolerantTimeout(ANSWER_S):
                return await self._client.execute_command(*command)  # type: ignore[no-untyped-call]
        except FAILURES as error:
            if _is_missing(error):
                raise ScriptMissingError(str(error)) from error
            raise self._unavailable(error) from error

    def begin(self, *command: Any) -> asyncio.Future[Any]:
        """Start a command that is sent with the next ones, within milliseconds; `finish` awaits its reply."""
        if self._pipeline is not None and self._pipeline.can_send:
            return self._pipeline.send_along(*command)
        return asyncio.ensure_future(self.execute(*command))

    async def finish(self, reply: asyncio.Future[Any]) -> Any:
        """Return the reply to a command that `begin` has started. Raises BrokerUnavailableError."""
        try:
            return await reply
        except FAILURES as error:
            raise self._unavailable(error) from error

    async def _load_function(self, lua: Script) -> bool:
        """Return whether the server runs a script as a function; load it once per connection. A Cluster has none."""
        if lua.function not in self._functions and self._pipeline is not None and self._pipeline.is_open:
            try:
                await self._pipeline.send("FUNCTION", "LOAD", "REPLACE", lua.library)
                self._functions[lua.function] = True
            except ResponseError as error:  # this user may not, or the server is full
                log.debug("The script runs by EVALSHA, as the server has no function for it: %s", error)
                self._functions[lua.function] = False
            except FAILURES as error:
                raise self._unavailable(error) from error
        return self._functions.get(lua.function, False)

    def _unavailable(self, error: Exception) -> BrokerUnavailableError:
        """Mark the server as unavailable; return the error of the command."""
        self.lost(error)
        return self.unavailable()

    def unavailable(self) -> BrokerUnavailableError:
        """Return the error of calls while the server does not work, with the reason."""
        return BrokerUnavailableError(f"Redis {self._failure}", retry_after_s=1.0)

    def lost(self, error: Exception) -> None:
        """Mark the server as unavailable, and start to reconnect."""
        was_up, self.is_up, self._failure = self.is_up, False, failure_of(error)
        self._up.clear()
        self._log_refusal(error)
        if self._down_since is None:
            self._down_since = asyncio.get_running_loop().time()
        if was_up:
            self._losses += 1
            log.warning("Redis %s", self._failure)
            for watcher in self.watchers:
                watcher.link_down()
        self._reconnect()

    def _log_refusal(self, error: Exception) -> None:
        """Log once why a server refuses the scripts: it is read-only or loads, or the user has no rights.

        The rest of such a text may contain the command and differ each time.
        """
        if isinstance(error, ResponseError) and (begin := str(error)[:_REFUSAL_BEGIN]) not in self._logged_refusals:
            self._logged_refusals.add(begin)
            log.error("Redis refuses the broker's script: it %s (%s)", self._failure, error)

    def _reconnect(self) -> None:
        if self._closed:
            return
        if self._reconnecting is None or self._reconnecting.done():
            connecting = steadily(self._connect, "reconnecting to Redis", until_done=True)
            self._reconnecting = asyncio.create_task(connecting, name="broker-reconnect")

    async def _connect(self) -> None:
        pause_s = 0.02
        if self._losses > 1:  # it replies to the commands below, but not to the scripts
            await asyncio.sleep(min(pause_s * 2 ** min(self._losses, 10), MAX_PAUSE_S))
        while True:
            try:
                async with StallTolerantTimeout(ANSWER_S):
                    run_id = await self._identify_server()
                kept = self.memory_kept if run_id == self.run_id else _is_kept(self._client, run_id)
                break
            except FAILURES as error:
                self.lost(error)  # calls that only wait send no command that would fail
                self._drop_pipeline()  # a new one may connect to another server
                await close_idle(self._client)
            await asyncio.sleep(pause_s)
            pause_s = min(0.25, pause_s * 1.5)
        if run_id != self.run_id or self._down_since is not None:
            self._renew_subscription()
        other = bool(self.run_id) and run_id != self.run_id and not kept
        self.memory_kept = kept
        self._first_run = self._first_run or run_id
        self.run_id, self._node = run_id, node_of(self._client, self._home)
        if self._down_since is not None and self.down_for_s() > 0:
            log.warning("Redis answers again%s", ", but it is another server or was restarted" if other else "")
        self._down_since = None
        self.is_up = True
        self._up.set()
        for watcher in self.watchers:
            watcher.link_up(other_server=other)

    async def _identify_server(self) -> str:
        """Return the run id of the server that runs the scripts. Raises if it does not answer or refuses them."""
        if self._pipeline is None or not self._pipeline.is_open:
            self._pipeline = await open_pipeline(self._client, timeout_s=ANSWER_S, on_lost=self._reconnect)
            self._functions = {}
        if self._pipeline is None:
            run_id = await run_id_of(self._client, self._home)
            await self._client.eval(PROBE, 1, self._home)
        else:
            run_id = await run_id_behind(self._pipeline)
            await self._pipeline.send("EVAL", PROBE, 1, self._home)
        return run_id

    def _drop_pipeline(self) -> None:
        if self._pipeline is not None:
            self._pipeline.close()

    @contextlib.asynccontextmanager
    async def _until_renewed(self) -> AsyncIterator[None]:
        """Run a block until `_renew_subscription` ends it with TimeoutError."""
        async with asyncio.timeout(None) as bound:
            self._subscription = bound
            try:
                yield
            finally:
                self._subscription = None

    def _renew_subscription(self) -> None:
        """End the subscription of before an outage: its server may hang, and its connection stay open for hours."""
        if self._subscription is not None:
            self._subscription.reschedule(asyncio.get_running_loop().time())
            self._subscription = None

    async def messages(self, *channels: str) -> AsyncIterator[bytes]:
        """Yield the messages of these channels; reconnect after a lost connection or an outage.

        One task consumes them and awaits nothing else: the end of a subscription is a cancellation of it.
        """
        pause_s = 0.05
        while True:
            await self.until_up()
            try:
                async with subscription(self._client, self._home) as pubsub, self._until_renewed():
                    await pubsub.subscribe(*channels)
                    unconfirmed = len(channels)
                    while True:
                        message = await pubsub.get_message(timeout=None)
                        if message is not None:
                            yield message["data"]
                            continue
                        unconfirmed -= 1
                        if not unconfirmed:
                            self._subscribed.set()
                            pause_s = 0.05
            except (RedisError, OSError) as error:
                self._subscribed.set()  # the subscription is not required
                if self._pipeline is None and not isinstance(error, (ResponseError, TimeoutError)):
                    self._reconnect()  # a Cluster: no other connection shows that a server is gone
                log.log(
                    logging.WARNING if isinstance(error, ResponseError) else logging.DEBUG,
                    "The subscription to hints of other workers failed: Redis %s (%s); retrying in %.2f s",
                    *(failure_of(error), error, pause_s),
                )
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, MAX_PAUSE_S)

    async def close(self) -> None:
        """Stop reconnecting and close the connections."""
        self._closed = True
        if self._reconnecting:
            await cancel(self._reconnecting)
        self._drop_pipeline()
        with contextlib.suppress(RedisError, OSError):
            await self._client.aclose()


def _is_missing(error: Exception) -> bool:
    """Return whether the server does not have a script, or a function, or refuses to run functions for this user."""
    no_function = isinstance(error, ResponseError) and str(error) == "Function not found"
    no_right = isinstance(error, NoPermissionError) and "'fcall'" in str(error)
    return isinstance(error, NoScriptError) or no_function or no_right


def _is_kept(client: Any, run_id: str) -> bool:
    socket: str = getattr(getattr(client, "connection_pool", None), "connection_kwargs", {}).get("path", "")
    try:
        return bool(socket) and Path(socket).with_name(KEPT).read_text("ascii") == run_id
    except (OSError, ValueError):
        return False  # a server of the operator, or one that was killed

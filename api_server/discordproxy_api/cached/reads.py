"""Serves reads from the caches if they are fresh enough, else from Discord.

`Read._run` contains the steps of a read. The response states the source. If Redis fails, Discord is queried.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from discordproxy.discord_api_pb2 import Freshness
from discordproxy_api.cached.lookups import FIRST_PAGE, LOOKUPS, MEMBERS_PER_PAGE, Caches, Lookup
from discordproxy_api.cached.own_writes import GUILDS, SELF, OwnWrites
from discordproxy_api.cached.response_cache import Key, ResponseCache
from discordproxy_api.cached.single_flight import SingleFlight
from discordproxy_api.calls import errors
from discordproxy_api.calls.call import Call
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.calls.retry import Repeat
from discordproxy_api.contract.contract import Rpc
from discordproxy_api.contract.translate import Outgoing, Translator
from discordproxy_api.discord.request import read_json, rest_request
from discordproxy_api.discord.rest import Rest
from discordproxy_api.rpcs.procedure import Job
from discordproxy_api.rpcs.routed import check, checked, document_of
from discordproxy_gateway.cache import CACHE_ERRORS, CachedAnswer
from discordproxy_gateway.cache import Freshness as CacheFreshness

SLICE = 200
"""Elements of a list that are translated without yielding to other calls; about two milliseconds of members."""


@dataclass(frozen=True, slots=True)
class FreshDocument:
    """Discord's JSON with its freshness."""

    document: Any
    freshness: Freshness


@dataclass(frozen=True, slots=True)
class CacheResult:
    """The result of a lookup in the caches.

    Attributes:
        source: "cache", or why Discord is queried: "fresh", "uncached", "trouble", "unknown", "stale", "incomplete".
        response: None if Discord is queried, or if the object does not exist.
    """

    source: str
    response: Message | None = None


class Reads:
    """Reads from the caches and from Discord.

    Args:
        max_age_s: cached answers are used if the gateway was current at most this long ago.
        wall_clock: returns Unix time in seconds.
    """

    def __init__(
        self,
        *,
        rest: Rest,
        single_flight: SingleFlight,
        own_writes: OwnWrites,
        caches: Caches,
        max_age_s: float,
        metrics: Metrics,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._rest = rest
        self._single_flight = single_flight
        self._own_writes = own_writes
        self.caches = caches
        self.max_age_s = max_age_s
        self._metrics = metrics
        self._wall_clock = wall_clock
        self.responses = ResponseCache()

    def counter(self, rpc: str, source: str) -> Any:
        """Return the counter of reads from a source, see `CacheResult`."""
        return self._metrics.reads.labels(rpc, source)

    async def lookup(self, lookup: Lookup, request: Any) -> tuple[CachedAnswer[Any], str]:
        """Return the caches' answer and its source. It is usable if the source is "cache", see `CacheResult`."""
        if request.fresh:
            return CachedAnswer(), "fresh"
        found = lookup.find(self.caches, request)
        if found is None:
            return CachedAnswer(), "uncached"
        try:
            answer = await found
        except CACHE_ERRORS:
            return CachedAnswer(), "trouble"
        if answer.freshness is None:
            return answer, "unknown"
        if answer.freshness.age_s > self.max_age_s:
            return answer, "stale"
        incomplete = lookup.whole and not answer.freshness.complete
        usable = answer.usable(self.max_age_s) and (answer.value is not None or lookup.unknown is not None)
        return answer, "cache" if usable and not incomplete else "incomplete"

    async def query(self, outgoing: Outgoing, call: Call, *, fresh: bool) -> bytes:
        """Return Discord's JSON for a read; concurrent identical reads share one request."""
        request = replace(rest_request(outgoing, now_ms=0), effect=False)
        fetch = partial(self._fetch, request, call)
        marks = await self._own_writes.marks(_scope(outgoing.parameters, outgoing.template))
        if marks is None:
            return await fetch()
        return await self._single_flight.share(f"{request.target} {call.wait_limits} {marks}", fetch, fresh=fresh)

    async def _fetch(self, request: Any, call: Call) -> bytes:
        reply = await self._rest.send(request, call)
        document_of(reply)  # an unreadable response is not shared
        return reply.body

    def _now_ms(self) -> int:
        return int(self._wall_clock() * 1000)

    def freshness_of_rest(self) -> Freshness:
        """Return the freshness of a response that has just arrived from Discord."""
        return Freshness(source=Freshness.REST, age=Duration(), complete=True, as_of=_iso(self._now_ms()))


class Read:
    """Serves one RPC that the caches can answer."""

    def __init__(self, rpc: Rpc, reads: Reads) -> None:
        self.rpc = rpc
        self._reads = reads
        self._lookup = LOOKUPS[rpc.name]
        self._translator = Translator(rpc)
        self._started: dict[Key, asyncio.Task[CacheResult]] = {}  # lookups of this event-loop turn
        self._running: dict[Key, asyncio.Task[CacheResult]] = {}
        self._cached_reads = reads.counter(rpc.name, "cache")
        self._encoded: tuple[CacheFreshness | None, bytes] = (None, b"")

    def job(self, request: Any, call: Call) -> Job:
        """Return the job for a request message; raises ApiError when it is invalid."""
        check(self.rpc, request)
        return Job(partial(self._run, request, call), Repeat.ALWAYS, effect=False)

    async def _run(self, request: Any, call: Call) -> Message | bytes:
        """Return the response: kept since an earlier call, else from the caches, else from Discord."""
        key = (self.rpc.name, request.SerializeToString())
        kept = await self._kept(key)
        if kept is None and (running := self._running.get(key)) is not None:
            await asyncio.wait([running])  # an earlier read's lookup; its result may be older than a write
            kept = await self._kept(key)
        if kept is not None:
            self._cached_reads.inc()
            return kept
        found = await self._shared_lookup(key, request)
        self._reads.counter(self.rpc.name, found.source).inc()
        if found.response is not None:
            return found.response
        if found.source == "cache":
            raise self._unknown()
        document = await self._from_discord(request, call)
        return await self._response(document, self._reads.freshness_of_rest(), request)

    async def find(self, request: Any, call: Call) -> FreshDocument:
        """Return the document for a valid request.

        Raises:
            ApiError: the object does not exist, or the request to Discord failed.
        """
        answer, source = await self._reads.lookup(self._lookup, request)
        self._reads.counter(self.rpc.name, source).inc()
        if source != "cache":
            return FreshDocument(await self._from_discord(request, call), self._reads.freshness_of_rest())
        if answer.value is None:
            raise self._unknown()
        return FreshDocument(answer.value, freshness_of(answer.freshness))

    async def _kept(self, key: Key) -> bytes | None:
        """Return a kept response with its present freshness; None if there is none, or the caches have changed."""
        kept = self._reads.responses.get(key)
        if kept is None:
            return None
        freshness = await self._reads.caches.reader.freshness_of(kept.version)
        if freshness is None or freshness.age_s > self._reads.max_age_s:
            return None
        return self._with_freshness(kept.body, freshness)

    def _with_freshness(self, body: bytes, freshness: CacheFreshness) -> bytes:
        """Add the freshness to a serialized response. Readers of one event-loop turn have the same one."""
        if freshness is not self._encoded[0]:
            field: Any = self.rpc.response_type()
            field.freshness.CopyFrom(freshness_of(freshness))
            self._encoded = (freshness, field.SerializeToString())
        return body + self._encoded[1]  # protobuf merges a field at the end

    async def _shared_lookup(self, key: Key, request: Any) -> CacheResult:
        """Return what the caches contain. Identical reads of one event-loop turn share one lookup.

        A later read needs its own: a write may have been finished in between.
        """
        started = self._started.get(key)
        if started is None:
            started = self._started[key] = self._running[key] = asyncio.create_task(self._look_up(key, request))
            started.add_done_callback(partial(self._finished, key))
            asyncio.get_running_loop().call_soon(self._started.pop, key)
        return await asyncio.shield(started)

    def _finished(self, key: Key, lookup: asyncio.Task[CacheResult]) -> None:
        if self._running.get(key) is lookup:
            del self._running[key]

    async def _look_up(self, key: Key, request: Any) -> CacheResult:
        answer, source = await self._reads.lookup(self._lookup, request)
        if source != "cache" or answer.value is None:
            return CacheResult(source)
        response: Any = await self._response(answer.value, None, request)
        if answer.version is not None:
            self._reads.responses.put(key, response.SerializeToString(), answer.version)
        response.freshness.CopyFrom(freshness_of(answer.freshness))
        return CacheResult(source, response)

    async def _from_discord(self, request: Any, call: Call) -> Any:
        """Return Discord's JSON."""
        outgoing = self._translator.outgoing(request)
        if getattr(request, "role_id", 0):
            return await self._members_of_role(outgoing, request, call)
        return await self._document(outgoing, call, fresh=request.fresh)

    async def _response(self, document: Any, freshness: Freshness | None, request: Any) -> Message:
        parameters = {"guild_id": str(request.guild_id)} if hasattr(request, "guild_id") else {}
        response = await self._translated(document, parameters)
        if freshness is not None:
            response.freshness.CopyFrom(freshness)
        return response  # type: ignore[no-any-return]  # the translator returns the contract's type

    def _unknown(self) -> ApiError:
        unknown = self._lookup.unknown
        assert unknown is not None, "only lookups with this error prove that an object does not exist"  # noqa: S101 - for the reader
        return ApiError("NOT_FOUND", "DISCORD_ERROR", unknown.text, http_status=404, code=unknown.code, scope="proxy")

    async def _translated(self, document: Any, parameters: Mapping[str, str]) -> Any:
        """Return the response. Long lists are translated in slices, so that other calls can run in between."""
        if not isinstance(document, list) or len(document) <= SLICE:
            return self._translator.incoming(document, parameters)
        response = self.rpc.response_type()
        for start in range(0, len(document), SLICE):
            response.MergeFrom(self._translator.incoming(document[start : start + SLICE], parameters))
            await asyncio.sleep(0)
        return response

    async def _document(self, outgoing: Outgoing, call: Call, *, fresh: bool) -> Any:
        body = await self._reads.query(outgoing, call, fresh=fresh)
        return checked(self.rpc, read_json(body) if body else None)

    async def _members_of_role(self, outgoing: Outgoing, request: Any, call: Call) -> list[Any]:
        """Read Discord's list, which has no filter for roles, until the page is full."""
        limit, after = request.limit if request.HasField("limit") else FIRST_PAGE, request.after
        role_id, wanted = str(request.role_id), []
        while True:
            query = [("after", str(after)), ("limit", str(MEMBERS_PER_PAGE))]
            page = await self._document(replace(outgoing, query=query), call, fresh=request.fresh)
            wanted += [member for member in page if role_id in member["roles"]]
            if len(page) < MEMBERS_PER_PAGE or len(wanted) >= limit:
                return wanted[:limit]
            last = int(page[-1]["user"]["id"])
            if last <= int(after):
                raise errors.unexpected_answer()
            after = last


def freshness_of(freshness: CacheFreshness | None) -> Freshness:
    """Return the freshness of a usable cached answer."""
    assert freshness is not None, "a usable answer has a freshness"  # noqa: S101 - for the reader
    age_ms = int(freshness.age_s * 1000)
    return Freshness(
        source=Freshness.CACHE,
        age=Duration(seconds=age_ms // 1000, nanos=age_ms % 1000 * 1_000_000),
        complete=freshness.complete,
        as_of=_iso(freshness.as_of_ms),
        connected_since=freshness.connected_since,
    )


def _scope(parameters: Mapping[str, str], template: str) -> str:
    for name in ("guild_id", "channel_id", "user_id"):
        if name in parameters:
            return parameters[name]
    return GUILDS if template.endswith("/guilds") else SELF


def _iso(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds")

"""Serves reads from the caches if they are fresh enough, else from Discord.

The response states the source. If Redis fails, Discord is queried.
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
from grpc import StatusCode

from discordproxy.discord_api_pb2 import Freshness
from discordproxy_api.cached.lookups import FIRST_PAGE, LOOKUPS, MEMBERS_PER_PAGE, Caches, Lookup, UnknownObject
from discordproxy_api.cached.own_writes import GUILDS, SELF, OwnWrites
from discordproxy_api.cached.single_flight import SingleFlight
from discordproxy_api.calls.call import Call
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.calls.retry import Repeat
from discordproxy_api.contract.contract import Rpc
from discordproxy_api.contract.translate import Outgoing, Translator
from discordproxy_api.discord.request import read_json, rest_request
from discordproxy_api.discord.rest import Rest
from discordproxy_api.rpcs.procedure import Job
from discordproxy_api.rpcs.routed import check, checked, document_of, unfit
from discordproxy_gateway.cache import TROUBLE, CachedAnswer

SLICE = 200
"""Elements of a list that are translated without yielding to other calls; about two milliseconds of members."""


@dataclass(frozen=True, slots=True)
class FreshDocument:
    """Discord's JSON with its freshness."""

    document: Any
    freshness: Freshness


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

    async def cached(self, lookup: Lookup, request: Any, rpc: str) -> CachedAnswer[Any] | None:
        """Return the caches' answer if it is usable, else None."""
        answer, source = await self._lookup(lookup, request)
        self._metrics.reads.labels(rpc, source).inc()
        return answer if source == "cache" else None

    async def _lookup(self, lookup: Lookup, request: Any) -> tuple[CachedAnswer[Any], str]:
        if request.fresh:
            return CachedAnswer(), "fresh"
        found = lookup.find(self.caches, request)
        if found is None:
            return CachedAnswer(), "uncached"
        try:
            answer = await found
        except TROUBLE:
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
        return await self._single_flight.share(f"{request.target} {call.patience} {marks}", fetch, fresh=fresh)

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

    def job(self, request: Any, call: Call) -> Job:
        """Return the job for a request message; raises ApiError when it is invalid."""
        check(self.rpc, request)
        return Job(partial(self._run, request, call), Repeat.ALWAYS, effect=False)

    async def find(self, request: Any, call: Call) -> FreshDocument:
        """Return the document for a valid request.

        Raises:
            ApiError: the object does not exist, or the request to Discord failed.
        """
        answer = await self._reads.cached(self._lookup, request, self.rpc.name)
        if answer is not None and answer.freshness is not None:
            if answer.value is None and self._lookup.unknown is not None:
                raise _unknown(self._lookup.unknown)
            return FreshDocument(answer.value, freshness_of(answer))
        outgoing = self._translator.outgoing(request)
        role_id = getattr(request, "role_id", 0)
        document = await (
            self._members_of_role(outgoing, request, call)
            if role_id
            else self._document(outgoing, call, fresh=request.fresh)
        )
        return FreshDocument(document, self._reads.freshness_of_rest())

    async def _run(self, request: Any, call: Call) -> Message:
        found = await self.find(request, call)
        parameters = {"guild_id": str(request.guild_id)} if hasattr(request, "guild_id") else {}
        response = await self._translated(found.document, parameters)
        response.freshness.CopyFrom(found.freshness)
        return response  # type: ignore[no-any-return]  # the translator returns the contract's type

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
                raise unfit()
            after = last


def freshness_of(answer: CachedAnswer[Any]) -> Freshness:
    """Return the freshness of a usable cached answer."""
    freshness = answer.freshness
    assert freshness is not None, "a usable answer has a freshness"  # noqa: S101 - for the reader
    age = Duration()
    age.FromMilliseconds(int(freshness.age_s * 1000))
    return Freshness(
        source=Freshness.CACHE,
        age=age,
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


def _unknown(unknown: UnknownObject) -> ApiError:
    return ApiError(
        StatusCode.NOT_FOUND, "DISCORD_ERROR", unknown.text, http_status=404, code=unknown.code, scope="proxy"
    )

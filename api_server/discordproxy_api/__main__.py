"""Composition root of one API worker: settings in, objects wired bottom-up, one run, closed in reverse order."""

import asyncio
import contextlib
import ctypes
import gc
import logging
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import uvloop
from google.protobuf.internal import api_implementation

from discordproxy import __version__
from discordproxy_api.access.gate import Gate
from discordproxy_api.access.key_file import watch_keys
from discordproxy_api.access.permission import Permission
from discordproxy_api.access.watched import Unusable
from discordproxy_api.access.whereabouts import Map
from discordproxy_api.authentication import Authentication
from discordproxy_api.call import call_facts
from discordproxy_api.channel_lookup import ChannelLookup
from discordproxy_api.composite_reads import ComputePermissions, GetVoiceStates
from discordproxy_api.composites import SendDirectMessage, SyncMemberRoles
from discordproxy_api.contract import Rpc, load_contract
from discordproxy_api.discord_http import DiscordHttp, HttpOptions
from discordproxy_api.dm_channels import DmChannels
from discordproxy_api.drain import Drain
from discordproxy_api.exposure import Unsafe, check_listening, concern, is_local
from discordproxy_api.flights import Flights
from discordproxy_api.health import Health, Probe
from discordproxy_api.idempotency import Idempotency
from discordproxy_api.interaction_responses import CreateInteractionResponse, InteractionResponses
from discordproxy_api.interceptors import AccessLog, Admission, Identity, TimeLimit
from discordproxy_api.lookups import LOOKUPS, Caches
from discordproxy_api.metrics import Metrics
from discordproxy_api.ops import Guard, Ops, PortTaken
from discordproxy_api.own_writes import OwnWrites
from discordproxy_api.reads import Read, Reads
from discordproxy_api.requests import Request, RoutePolicy
from discordproxy_api.rest import Rest
from discordproxy_api.retry import RetryPolicy
from discordproxy_api.routed import Routed
from discordproxy_api.server import Server, ServerOptions
from discordproxy_api.servicer import Procedure, Servicer
from discordproxy_api.settings import ApiSettings
from discordproxy_api.status.console import Console
from discordproxy_api.status.doctor import Doctor, Setup
from discordproxy_api.status.reporter import Reporter, Status
from discordproxy_api.subscribe import StreamOptions, Subscribe
from discordproxy_api.tls import Tls, TlsFiles
from discordproxy_api.turns import Turns
from discordproxy_api.uploads import UploadLimits, Uploads
from discordproxy_gateway.cache import CacheReader, Keys, MemberReader, Overlay
from discordproxy_gateway.events import BLOCK_MS, EventHub, Interactions
from discordproxy_ratelimit import logs
from discordproxy_ratelimit.broker import Broker, Limits
from discordproxy_ratelimit.connection import connect
from discordproxy_ratelimit.embedded import broker_url
from discordproxy_ratelimit.metrics import Decisions
from discordproxy_ratelimit.redis_url import describe
from discordproxy_ratelimit.settings import load
from discordproxy_ratelimit.watch import inspect_url

log = logging.getLogger("discordproxy_api")

CONFIGURATION = 78
"""Exit status that tells a supervisor not to try again: somebody has to change something first."""

M_MMAP_THRESHOLD = -3
"""The number of this parameter in glibc's malloc.h."""

HOMEPAGE = "https://github.com/discordproxy/discordproxy"


@dataclass(frozen=True, slots=True)
class Worker:
    """A wired worker, serving or about to."""

    server: Server
    health: Health
    console: Console
    reporter: Reporter
    drain: Drain
    metrics: Metrics
    broker: Broker
    rest: Rest
    idempotency: Idempotency
    gate: Gate
    tls: Tls | None

    async def finish(self) -> None:
        """Wait for the calls that go on without their callers."""
        await self.idempotency.finish()
        await self.rest.finish()


@dataclass(frozen=True, slots=True)
class Gateway:
    """What the gateway worker keeps in Redis, as far as this worker uses it."""

    events: EventHub
    interactions: Interactions
    cache: CacheReader

    async def is_ready(self) -> bool:
        """Tell whether a gateway worker is connected; raises when Redis is away."""
        return (await self.events.state()).ready

    async def channel(self, channel_id: int) -> dict[str, Any] | None:
        """Return a channel as the cache has it, None if it does not, or Redis is away."""
        try:
            return (await self.cache.channel(channel_id)).value
        except Exception:  # noqa: BLE001 - Redis is away, or what it holds cannot be read: Discord knows, too
            return None


@asynccontextmanager
async def gateway_behind(url: str, settings: ApiSettings) -> AsyncIterator[Gateway]:
    """Build the doors to the gateway worker's data; nothing is opened before it is used."""
    async with AsyncExitStack() as stack:
        redis = connect(url)  # the broker has a client of its own
        stack.push_async_callback(redis.aclose)
        blocking = connect(url, timeout_s=BLOCK_MS / 1000 + 3)
        stack.push_async_callback(blocking.aclose)
        keys = Keys(settings.key_prefix, settings.bot_id)
        events = EventHub(redis, blocking, keys, heartbeat_s=settings.event_heartbeat)
        stack.push_async_callback(events.close)
        yield Gateway(events, Interactions(redis, keys), CacheReader(redis, keys))


@asynccontextmanager
async def wired(
    settings: ApiSettings, broker: Broker, gateway: Gateway, metrics: Metrics, probes: Mapping[str, Probe]
) -> AsyncIterator[Worker]:
    """Build the worker's objects around a broker; leaving closes what was opened.

    Args:
        settings: of this worker.
        broker: started; closed by the caller.
        gateway: the same.
        metrics: where everything is counted.
        probes: of services that health reports on, beside the broker.
    """
    drain = Drain()
    contract = load_contract()
    path = settings.keys_file
    gate = Gate(None if path is None else watch_keys(path, rpcs=tuple(contract)), metrics)
    tls = _tls(settings)
    options = HttpOptions(
        url=settings.discord_url,
        user_agent=f"DiscordBot ({HOMEPAGE}, {__version__})",
        timeout_s=settings.http_timeout,
        connect_timeout_s=settings.connect_timeout,
        answer_limit_bytes=settings.max_answer_bytes,
    )
    async with DiscordHttp(options, token=settings.token.get_secret_value()) as http:
        cache = gateway.cache
        own_writes = OwnWrites(broker.notes, cache, Overlay(cache.redis, cache.keys))
        rest = Rest(
            http=http,
            broker=broker,
            drain=drain,
            metrics=metrics,
            policy=RetryPolicy(attempts=settings.retries + 1),
            landed=own_writes.note,
        )
        reads = Reads(
            rest=rest,
            flights=Flights(broker.notes, drain),
            own_writes=own_writes,
            caches=Caches(cache, MemberReader(cache.redis, cache.keys, cache)),
            max_age_s=settings.cache_max_age,
            metrics=metrics,
        )
        idempotency = Idempotency(broker.notes, kept_s=settings.idempotency_ttl, drain=drain, metrics=metrics)
        places = Map(ChannelLookup(rest, gateway.channel).find)
        permission = Permission(contract, places, audit_content=settings.audit_content)
        servicer = Servicer(
            {
                **_procedures(settings, contract, rest, reads, DmChannels(rest, broker.notes, metrics)),
                **_answering(settings, contract, rest, InteractionResponses(rest, gateway.interactions)),
            },
            uploads=Uploads(UploadLimits(held_bytes=settings.max_upload_bytes), drain=drain, metrics=metrics),
            idempotency=idempotency,
            permission=permission,
            turns=Turns(broker.quota, drain),
        )
        subscribe = Subscribe(
            contract["SubscribeEvents"],
            gateway.events,
            drain=drain,
            metrics=metrics,
            permission=permission,
            options=StreamOptions(settings.event_stream_life, settings.event_patience),
        )
        health = Health({"broker": partial(_broker_answers, broker), **probes}, metrics)
        reporter = Reporter(broker, metrics, number=settings.worker, state=partial(_state, drain, health))
        status = Status(broker, gateway.events.state)
        console = Console(status, Doctor(rest, status, partial(_inspect_redis, settings), _setup(settings)))
        server = Server(
            ServerOptions(
                host=settings.host,
                port=settings.port,
                max_message_bytes=settings.max_message_bytes,
                reflection=settings.reflection,
                drain_timeout_s=settings.drain_timeout,
                lame_duck_s=settings.lame_duck,
                credentials=tls.for_grpc() if tls else None,
            ),
            handlers=[servicer.handler(), subscribe.handler(), console.handler()],
            interceptors=[
                Identity(),
                AccessLog(metrics, audited=settings.knows_callers if settings.audit is None else settings.audit),
                Authentication(gate, contract, certificates=settings.tls_client_ca is not None),
                Admission(
                    drain,
                    most=settings.max_calls,
                    most_per_app=settings.max_calls_per_app,
                    most_streams=settings.max_streams,
                    most_streams_per_app=settings.max_streams_per_app,
                ),
                TimeLimit(),
            ],
            health=health,
            drain=drain,
        )
        try:
            yield Worker(server, health, console, reporter, drain, metrics, broker, rest, idempotency, gate, tls)
        finally:
            await server.close()


def _procedures(
    settings: ApiSettings, contract: Mapping[str, Rpc], rest: Rest, reads: Reads, dm_channels: DmChannels
) -> dict[str, Procedure]:
    procedures: dict[str, Procedure] = {
        name: Routed(rpc, rest, users_only=settings.users_only_mentions)
        for name, rpc in contract.items()
        if rpc.template is not None
    }
    cached = {name: Read(contract[name], reads) for name in LOOKUPS}
    procedures.update(cached)
    procedures["SendDirectMessage"] = SendDirectMessage(
        contract["SendDirectMessage"],
        contract["SendChannelMessage"],
        rest,
        dm_channels,
        users_only=settings.users_only_mentions,
    )
    procedures["SyncMemberRoles"] = SyncMemberRoles(contract["SyncMemberRoles"], rest)
    procedures["GetVoiceStates"] = GetVoiceStates(contract["GetVoiceStates"], reads)
    procedures["ComputePermissions"] = ComputePermissions(
        contract["ComputePermissions"],
        guild=cached["GetGuild"],
        channel=cached["GetChannel"],
        member=cached["GetGuildMember"],
        user=cached["GetCurrentUser"],
    )
    return procedures


def _answering(
    settings: ApiSettings, contract: Mapping[str, Rpc], rest: Rest, responses: InteractionResponses
) -> dict[str, Procedure]:
    """Return the procedures by which an interaction can be answered."""
    policy = RoutePolicy(allow=settings.request_allow, deny=settings.request_deny)
    answer = CreateInteractionResponse(
        contract["CreateInteractionResponse"], responses, users_only=settings.users_only_mentions
    )
    return {"Request": Request(contract["Request"], rest, responses, policy), answer.rpc.name: answer}


async def _broker_answers(broker: Broker) -> bool:
    await broker.notes.get("health")  # a worker without traffic would not notice that Redis has gone
    return broker.is_up


def _state(drain: Drain, health: Health) -> str:
    return "draining" if drain.begun else "serving" if health.ready else "not serving"


def _redis_url(settings: ApiSettings) -> str:
    return broker_url(settings.redis_url.get_secret_value(), settings.token.get_secret_value())


async def _inspect_redis(settings: ApiSettings) -> tuple[str, list[str]] | None:
    return await inspect_url(_redis_url(settings))


def _setup(settings: ApiSettings) -> Setup:
    return Setup(
        discord_url=settings.discord_url,
        redis=describe(_redis_url(settings)),
        host=settings.host,
        local=is_local(settings.host),
        encrypted=settings.tls_cert is not None,
        keys=settings.knows_callers,
    )


async def run(settings: ApiSettings) -> None:
    """Serve until a signal; a second one ends the drain."""
    check_listening(settings.host, knows_callers=settings.knows_callers, allow_anonymous=settings.allow_anonymous)
    if text := concern(settings.host, keys=settings.keys_file is not None, encrypted=settings.tls_cert is not None):
        log.warning("%s", text)
    metrics = Metrics()
    stop, now = asyncio.Event(), asyncio.Event()

    def on_signal() -> None:
        (now if stop.is_set() else stop).set()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    async with AsyncExitStack() as stack:
        url = _redis_url(settings)
        broker = _broker(settings, url, metrics)
        await broker.start()
        stack.push_async_callback(broker.close)
        gateway = await stack.enter_async_context(gateway_behind(url, settings))
        probes = {"gateway": gateway.is_ready}
        worker = await stack.enter_async_context(wired(settings, broker, gateway, metrics, probes))
        if settings.http_port is not None:
            tls = worker.tls.for_http() if worker.tls else None
            guard = _ops_guard(settings, worker.gate)
            ops = Ops(worker.health, metrics, pages=worker.console.routes(), guard=guard, tls=tls)
            stack.push_async_callback(ops.close)
            await ops.start(settings.host, settings.http_port + settings.worker if settings.http_port else 0)
        port = await worker.server.start()
        for task in (worker.health.run(), worker.reporter.run()):
            stack.callback(asyncio.create_task(task).cancel)
        log.info("worker %d serves on %s:%d", settings.worker, settings.host, port)
        gc.freeze()  # what was wired lives as long as the process; collections need not look at it
        await stop.wait()
        log.info("stopping: calls in flight may finish within %.0f s", settings.drain_timeout)
        await worker.server.stop(broker.drain, worker.finish, now)
        await worker.reporter.leave()


def _broker(settings: ApiSettings, url: str, metrics: Metrics) -> Broker:
    return Broker(
        connect(url),
        prefix=settings.key_prefix,
        bot_id=settings.bot_id,
        limits=Limits(global_limit=settings.global_limit, degraded=settings.degraded, workers=settings.workers),
        decisions=Decisions(metrics.registry, limited=metrics.tally.limited),
    )


def _tls(settings: ApiSettings) -> Tls | None:
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    return Tls(TlsFiles(settings.tls_cert, settings.tls_key, settings.tls_client_ca))


def _ops_guard(settings: ApiSettings, gate: Gate) -> Guard:
    """Return who may see more than health: on this machine everybody."""
    if is_local(settings.host) or (settings.allow_anonymous and not gate.asks_for_keys):
        return lambda _headers, _peer: True
    if not gate.asks_for_keys:
        return lambda _headers, _peer: False  # certificates are asked for by gRPC only
    return lambda headers, peer: gate.allowed(headers, peer) is not None


def _give_large_memory_back() -> None:
    """Let glibc map every large block on its own, so that an upload's memory returns to the system when it is freed.

    By default the threshold grows to 32 MiB with the first upload, and freed blocks stay with the process.
    """
    with contextlib.suppress(OSError, AttributeError):  # another C library needs and knows no such call
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 1024 * 1024)


def main() -> None:
    """Run the process; what nobody but the operator can repair ends it with one line."""
    settings = load(ApiSettings)
    logs.set_up(settings.log_level, settings.log_format, secrets=settings.secrets, context=call_facts)
    _give_large_memory_back()
    if api_implementation.Type() != "upb":
        log.warning("protobuf runs without its C part: translation is ten times slower")
    try:
        uvloop.run(run(settings))
    except (Unsafe, Unusable) as error:
        _fail(str(error), 2)
    except PortTaken as error:
        _fail(str(error), CONFIGURATION)


def _fail(line: str, status: int) -> None:
    print(f"ERROR: {line}", file=sys.stderr)
    raise SystemExit(status)


if __name__ == "__main__":
    main()

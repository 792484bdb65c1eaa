"""Wires the objects that serve the calls of one bot."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from discordproxy import __version__
from discordproxy_api.access.permission import Permission
from discordproxy_api.cached.channel_locator import ChannelLocator
from discordproxy_api.cached.lookups import Caches
from discordproxy_api.cached.own_writes import OwnWrites
from discordproxy_api.cached.reads import Read, Reads
from discordproxy_api.cached.single_flight import SingleFlight
from discordproxy_api.calls.drain import Drain
from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.calls.retry import RetryPolicy
from discordproxy_api.calls.tracing import Tracing
from discordproxy_api.commands.discord_commands import DiscordCommands
from discordproxy_api.commands.owner_tables import OwnerTables
from discordproxy_api.commands.synchronization import CommandSync
from discordproxy_api.contract.contract import Rpc
from discordproxy_api.discord.app_rate import AppRateWaits
from discordproxy_api.discord.http import DiscordHttp, HttpOptions
from discordproxy_api.discord.nonces import Nonces
from discordproxy_api.discord.rest import Rest
from discordproxy_api.pipeline.idempotency import Idempotency
from discordproxy_api.pipeline.in_order import InOrder
from discordproxy_api.pipeline.receiving.uploads import Uploads
from discordproxy_api.pipeline.unary_calls import Execution, UnaryCalls
from discordproxy_api.rest_edge.forward import Forward
from discordproxy_api.rest_edge.relay import Relay
from discordproxy_api.rest_edge.repeats.unanswered import UnansweredRequests
from discordproxy_api.role_sync.reading import GuildReads
from discordproxy_api.role_sync.sync_guild_roles import SyncGuildRoles
from discordproxy_api.rpcs.commands.own import OwnCommands
from discordproxy_api.rpcs.dm_channels import DmChannels
from discordproxy_api.rpcs.interaction_responses import InteractionResponses
from discordproxy_api.rpcs.procedure import StreamProcedure
from discordproxy_api.rpcs.subscribe_events import StreamOptions, SubscribeEvents
from discordproxy_api.settings import ApiSettings
from discordproxy_api.wiring.backends import Backend
from discordproxy_api.wiring.procedures import (
    command_procedures,
    discord_procedures,
    interaction_procedures,
    route_policy,
)
from discordproxy_gateway.cache import MemberReader, Overlay
from discordproxy_ratelimit.process.http_proxy import http_proxy_for
from discordproxy_ratelimit.process.trace import Trace, no_trace

HOMEPAGE = "https://github.com/discordproxy/discordproxy"


@dataclass(frozen=True, slots=True)
class Common:
    """Objects that the services of all bots in one worker share."""

    settings: ApiSettings
    contract: Mapping[str, Rpc]
    drain: Drain
    metrics: Metrics
    uploads: Uploads
    tracing: Tracing | None = None

    @property
    def trace(self) -> Trace:
        """Times the parts of calls."""
        return self.tracing.part if self.tracing else no_trace


@dataclass(frozen=True, slots=True)
class BotService:
    """The service of one bot."""

    backend: Backend
    rest: Rest
    idempotency: Idempotency
    in_order: InOrder
    forward: Forward = field(repr=False)
    unary_calls: UnaryCalls = field(repr=False)
    streams: Mapping[str, StreamProcedure] = field(repr=False)

    async def finish(self) -> None:
        """Wait for the calls that continue without their callers."""
        await self.idempotency.finish()
        await self.forward.finish()
        await self.in_order.finish()
        await self.rest.finish()


@asynccontextmanager
async def bot_service(backend: Backend, common: Common) -> AsyncIterator[BotService]:
    """Build the service of one bot; its connections to Discord are closed at the end of the block."""
    settings, contract, drain, metrics = common.settings, common.contract, common.drain, common.metrics
    broker, gateway, cache = backend.broker, backend.gateway, backend.gateway.cache
    token = backend.bot.token.get_secret_value()
    async with DiscordHttp(_http_options(settings), token=token) as http:
        app_rate = AppRateWaits(broker.app_rate, drain)
        own_writes = OwnWrites(broker.claims, cache, Overlay(cache.redis, cache.keys))
        rest = Rest(
            http=http,
            broker=broker,
            drain=drain,
            metrics=metrics,
            app_rate=app_rate,
            nonces=Nonces(token),
            policy=RetryPolicy(attempts=settings.retries + 1),
            on_accepted=own_writes.record,
            trace=common.trace,
        )
        single_flight = SingleFlight(broker.claims, drain)
        reads = Reads(
            rest=rest,
            single_flight=single_flight,
            own_writes=own_writes,
            caches=Caches(cache, MemberReader(cache.redis, cache.keys, cache)),
            max_age_s=settings.cache_max_age,
            metrics=metrics,
        )
        idempotency = Idempotency(
            broker.claims,
            kept_s=settings.idempotency_ttl,
            max_bytes=settings.idempotency_bytes,
            drain=drain,
            metrics=metrics,
        )
        in_order = InOrder(broker.claims, drain)
        commands, owners = DiscordCommands(rest, broker.claims), OwnerTables(broker.tables)
        command_sync = CommandSync(commands, owners, rest.clock)
        own_commands = OwnCommands(command_sync, owners, rest)
        locate = ChannelLocator(rest, single_flight, gateway.channel).locate
        permission = Permission(contract, locate, audited=settings.audited, audit_content=settings.audit_content)
        execution = Execution(permission=permission, app_rate=app_rate, idempotency=idempotency, in_order=in_order)
        unary_calls = UnaryCalls(
            {
                **discord_procedures(settings, contract, rest, reads, DmChannels(rest, broker.claims, metrics)),
                **command_procedures(contract, commands, owners, command_sync),
                **interaction_procedures(
                    settings, contract, rest, InteractionResponses(rest, gateway.interactions), own_commands
                ),
            },
            uploads=common.uploads,
            execution=execution,
        )
        relay = Relay(rest)
        forward = Forward(
            backend.bot.name,
            rest,
            relay=relay,
            responses=InteractionResponses(relay, gateway.interactions),
            own_commands=own_commands,
            policy=route_policy(settings),
            uploads=common.uploads,
            execution=execution,
            unanswered=UnansweredRequests(broker.claims),
            metrics=metrics,
        )
        subscribe_events = SubscribeEvents(
            gateway.events,
            drain=drain,
            metrics=metrics,
            permission=permission,
            app_rate=app_rate,
            owners=owners,
            options=StreamOptions(settings.event_stream_life, settings.event_patience),
        )
        sync_guild_roles = SyncGuildRoles(
            contract["SyncGuildRoles"],
            rest=rest,
            reads=_guild_reads(contract, reads),
            claims=broker.claims,
            run_in_order=in_order.run,
            permission=permission,
            app_rate=app_rate,
            drain=drain,
            metrics=metrics,
        )
        streams: dict[str, StreamProcedure] = {"SubscribeEvents": subscribe_events, "SyncGuildRoles": sync_guild_roles}
        yield BotService(backend, rest, idempotency, in_order, forward, unary_calls, streams)


def _http_options(settings: ApiSettings) -> HttpOptions:
    return HttpOptions(
        url=settings.discord_url,
        user_agent=f"DiscordBot ({HOMEPAGE}, {__version__})",
        timeout_s=settings.http_timeout,
        connect_timeout_s=settings.connect_timeout,
        answer_limit_bytes=settings.max_answer_bytes,
        http_proxy=http_proxy_for(settings.discord_url),
    )


def _guild_reads(contract: Mapping[str, Rpc], reads: Reads) -> GuildReads:
    guild, member, user, members = (
        Read(contract[name], reads) for name in ("GetGuild", "GetGuildMember", "GetCurrentUser", "ListGuildMembers")
    )
    return GuildReads(reads, guild=guild, member=member, user=user, members=members)

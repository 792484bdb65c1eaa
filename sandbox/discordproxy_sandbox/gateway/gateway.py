"""The gateway: sessions, the IDENTIFY budget, and the operations with which tests disturb connections."""

import math
import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from discordproxy_sandbox.access import Access
from discordproxy_sandbox.errors import Json
from discordproxy_sandbox.gateway.faults import GatewayFaults, replaced
from discordproxy_sandbox.gateway.hidden_channels import HiddenChannels
from discordproxy_sandbox.gateway.intents import PRIVILEGED, application_flags
from discordproxy_sandbox.gateway.payloads import guild_create, ready
from discordproxy_sandbox.gateway.session import SandboxSession, shard_of
from discordproxy_sandbox.limits.limits import FixedWindow
from discordproxy_sandbox.world.world import Event, World

_DAY_S = 86_400.0


class OpenWebsocket(Protocol):
    """The operations on an open websocket."""

    async def send_op(self, op: int, data: object) -> None:
        """Send a payload other than an event."""

    async def invalidate(self, *, resumable: bool) -> None:
        """Send op 9."""

    async def close(self, code: int) -> None:
        """Close with a code."""

    def drop(self) -> None:
        """Reset the connection."""


@dataclass(frozen=True, kw_only=True)
class GatewayConfig:
    """Configuration of the gateway; times are in seconds.

    `privileged`: bit set of the privileged intents that are enabled for the application. `shards`: the recommended
    count; `sharding_required` refuses a single shard. `session_ttl_s`: lifetime of a session without a connection.
    `rested_reset_after_s`: the reset_after of a bot that has not sent IDENTIFY for a day; Discord returns 0.
    """

    heartbeat_interval_s: float = 41.25
    max_concurrency: int = 1
    identify_every_s: float = 5.0
    identify_total: int = 1000
    privileged: int = PRIVILEGED
    shards: int = 1
    sharding_required: bool = False
    session_ttl_s: float = 300.0
    sends_per_minute: int = 120
    members_every_s: float = 30.0
    rested_reset_after_s: float = 0.0


@dataclass(slots=True)
class GatewayStats:
    """Counters of the gateway, for assertions."""

    identifies: int = 0
    resumes: int = 0
    invalid_sessions: int = 0
    infos: int = 0  # answers of GET /gateway/bot
    heartbeats: int = 0
    member_requests: int = 0
    members_rate_limited: int = 0
    connections: int = 0  # open now
    max_connections: int = 0
    opened: int = 0
    closes: Counter[str] = field(default_factory=Counter)  # by whom and code: "client 1000", "server 4004"
    violations: list[str] = field(default_factory=list)

    def connected(self) -> None:
        """Count a connection that was opened."""
        self.opened += 1
        self.connections += 1
        self.max_connections = max(self.max_connections, self.connections)


class SandboxGateway:
    """All sessions and connections. `url` and `resume_url` are set once the server has its port."""

    def __init__(
        self, world: World, access: Access, clock: Callable[[], float], config: GatewayConfig | None = None
    ) -> None:
        self.world = world
        self.access = access
        self.clock = clock
        self.config = config or GatewayConfig()
        self.stats = GatewayStats()
        self.faults = GatewayFaults()
        self.sessions: dict[str, SandboxSession] = {}
        self.connections: set[OpenWebsocket] = set()
        self.url = ""
        self.resume_url = ""
        self._identify_gates: dict[int, FixedWindow] = {}
        self._identifies_today = FixedWindow(self.config.identify_total, _DAY_S)
        self._identifies_left = self.config.identify_total
        self._identifies_reset = 0.0
        self._member_lists: dict[str, FixedWindow] = {}
        self._hidden_channels = HiddenChannels(world)
        world.application_flags = application_flags(self.config.privileged)
        world.listeners.append(self.dispatch)

    def dispatch(self, event: Event) -> None:
        """Offer what the bot can see of an event to every session, connected or not."""
        for seen in self._hidden_channels.seen_of(event):
            for session in self.sessions.values():
                session.offer(seen)

    def start_limit(self) -> Json:
        """Return the session_start_limit of GET /gateway/bot."""
        now = self.clock()
        if now >= self._identifies_reset:
            self._identifies_left = self.config.identify_total
        left_s = max(0.0, self._identifies_reset - now) or self.config.rested_reset_after_s
        return {
            "total": self.config.identify_total,
            "remaining": self._identifies_left,
            "reset_after": math.ceil(left_s * 1000),
            "max_concurrency": self.config.max_concurrency,
        }

    def info(self) -> Json:
        """Return the answer of GET /gateway/bot."""
        self.stats.infos += 1
        limit = replaced(self.start_limit(), self.faults.start_limit)
        info: Json = {"url": self.url, "shards": self.config.shards, "session_start_limit": limit}
        return replaced(info, self.faults.info)

    def may_identify(self, shard_id: int) -> bool:
        """Count one IDENTIFY; return False if it is refused. One beyond the day's budget revokes all tokens."""
        gate = self._identify_gates.setdefault(
            shard_id % self.config.max_concurrency, FixedWindow(1, self.config.identify_every_s)
        )
        self.start_limit()
        decision = self._identifies_today.hit(self.clock())
        self._identifies_left, self._identifies_reset = decision.remaining, decision.reset
        if not decision.allowed:
            self.stats.violations.append("IDENTIFY budget of the day exceeded: Discord resets the token")
            self.access.tokens = set()
            return False
        if not gate.hit(self.clock()).allowed:
            self.stats.violations.append(f"IDENTIFY of shard {shard_id} comes too early after the last of its group")
            return False
        return True

    def may_list_members(self, guild_id: str) -> float:
        """Count one full member list of the guild; return 0, or the seconds until the next one is allowed."""
        gate = self._member_lists.setdefault(guild_id, FixedWindow(1, self.config.members_every_s))
        return gate.hit(self.clock()).retry_after

    def start(self, token_key: str, intents: int, shard: tuple[int, int]) -> SandboxSession:
        """Start a session: READY, then a GUILD_CREATE per available guild."""
        session = SandboxSession(secrets.token_hex(16), token_key, intents, shard, self.world.bot_id)
        self.sessions[session.id] = session
        self.stats.identifies += 1
        session.append("READY", ready(self.world, session, self.resume_url))
        for guild in self.world.guilds.values():
            if shard_of(guild.id, shard[1]) == shard[0] and not guild.unavailable and intents & 1:
                self._hidden_channels.remember(guild)
                session.append("GUILD_CREATE", guild_create(self.world, guild, intents))
        return session

    def find(self, session_id: str, token_key: str, sequence: int) -> SandboxSession | None:
        """Return the session to resume after this sequence number; None if it no longer exists."""
        session = self.sessions.get(session_id)
        if session is None or session.token_key != token_key:
            return None
        lost = session.detached_at and self.clock() - session.detached_at > self.config.session_ttl_s
        if lost or not session.has_all_after(sequence):
            self.end(session)
            return None
        self.stats.resumes += 1
        return session

    def end(self, session: SandboxSession) -> None:
        """Delete a session: it cannot be resumed."""
        self.sessions.pop(session.id, None)

    def emit(self, name: str, data: Json, guild_id: str = "") -> None:
        """Send any event, as if it had happened."""
        self.world.emit(name, data, guild_id)

    def emit_frame(self, frame: str) -> None:
        """Send a text as the next message of every session, and again on RESUME; SEQ is replaced by the sequence."""
        for session in self.sessions.values():
            session.append_frame(frame)

    def set_available(self, guild_id: str, *, available: bool) -> None:
        """Start or end an outage of a guild."""
        self.world.guild(guild_id).unavailable = not available
        if available:
            self.announce(guild_id)
            return
        for session in self._sessions_of(guild_id):
            session.append("GUILD_DELETE", {"id": guild_id, "unavailable": True})

    def announce(self, guild_id: str) -> None:
        """Send GUILD_CREATE for a guild that the bot has joined, or whose outage is over."""
        guild = self.world.guild(guild_id)
        self._hidden_channels.remember(guild)
        for session in self._sessions_of(guild_id):
            session.append("GUILD_CREATE", guild_create(self.world, guild, session.intents))

    def _sessions_of(self, guild_id: str) -> list[SandboxSession]:
        sessions = self.sessions.values()
        return [one for one in sessions if shard_of(guild_id, one.shard[1]) == one.shard[0] and one.intents & 1]

    async def ask_to_reconnect(self) -> None:
        """Send op 7 on every connection."""
        for connection in list(self.connections):
            await connection.send_op(7, None)

    async def invalidate(self, *, resumable: bool) -> None:
        """Send op 9 on every connection; without `resumable`, delete the sessions."""
        for connection in list(self.connections):
            await connection.invalidate(resumable=resumable)

    async def close(self, code: int) -> None:
        """Close every connection with a code; codes 1000 and 1001 end the sessions."""
        for connection in list(self.connections):
            await connection.close(code)

    def drop(self) -> None:
        """Reset every connection without a close frame."""
        for connection in list(self.connections):
            connection.drop()

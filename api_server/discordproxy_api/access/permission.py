"""Authorizes calls: compares the targets of a request with the scopes of its application."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from discordproxy_api.access.audit import content_of
from discordproxy_api.access.path_normalization import plain
from discordproxy_api.access.targets import Targets, targets_of_request, targets_reader
from discordproxy_api.calls import errors
from discordproxy_api.calls.call import AuditEntry, Call
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.calls.principal import Principal
from discordproxy_api.calls.scopes import REQUEST, Scopes
from discordproxy_api.contract.contract import Rpc
from discordproxy_gateway.events import StreamEntry
from discordproxy_ratelimit.route import names_token, template_of

BOT_EVENTS = frozenset(
    {
        *("USER_UPDATE", "ENTITLEMENT_CREATE", "ENTITLEMENT_UPDATE", "ENTITLEMENT_DELETE"),
        *("SUBSCRIPTION_CREATE", "SUBSCRIPTION_UPDATE", "SUBSCRIPTION_DELETE"),
    }
)
"""Events about the bot and its purchases. All other events without a guild come from a DM channel."""

UNCHECKED = Targets()
"""Targets of a call whose scopes do not depend on them."""

MAX_DEPTH = 3
"""A thread is in a channel, the channel in a category."""

_READ_PREFIXES = ("Get", "List", "Search", "Compute", "Subscribe")


class ChannelLocation(NamedTuple):
    """Guild and parent of a channel; 0 for none.

    Attributes:
        parent_id: channel of a thread, category of a channel.
        known: False if Discord returns no such channel.
    """

    guild_id: int = 0
    parent_id: int = 0
    known: bool = True


class PathRequest(NamedTuple):
    """A request given by its path.

    Attributes:
        path: without redundant percent-encoding.
        query: pairs, decoded.
        json: body, "" for none.
        authorization: of the caller's own, "none" for no authorization, "" for the bot's.
    """

    method: str
    path: str
    query: Sequence[tuple[str, str]]
    json: str
    authorization: str = ""


Locate = Callable[[int, Call], Awaitable[ChannelLocation]]
"""Returns the location of a channel; raises ApiError if the request to Discord fails."""


def is_read(rpc: Rpc) -> bool:
    """Return whether an RPC changes nothing."""
    return rpc.method == "GET" if rpc.method else rpc.name.startswith(_READ_PREFIXES)


def denied(principal: Principal, reason: str) -> ApiError:
    """Return the refusal; `reason` completes the sentence "The application X ..." and contains the fix."""
    text = f"The application {principal} {reason}."
    return errors.refusal("PERMISSION_DENIED", "FORBIDDEN_BY_OPERATOR", text)


class Permission:
    """The permissions of applications for one bot.

    Args:
        locate: returns the guild and parent of a channel of the bot.
        audited: whether there is an audit log, which shows the targets of all calls.
        audit_content: whether the audit log shows message content.
    """

    def __init__(
        self, contract: Mapping[str, Rpc], locate: Locate, *, audited: bool = False, audit_content: bool = False
    ) -> None:
        self._readers = {name: targets_reader(rpc) for name, rpc in contract.items()}
        self._locate = locate
        self._audited = audited
        self._audit_content = audit_content

    def targets_of(self, rpc: Rpc, request: Any, call: Call) -> Targets:
        """Return the targets of a valid request, and record them for the audit log.

        Raises:
            ApiError: the application may not use this route.
        """
        if not self.depends_on_targets(call):
            return UNCHECKED
        if rpc.name == REQUEST:
            query = [(pair.name, pair.value) for pair in request.query]
            path = plain(request.path)
            return self._targets_of(PathRequest(request.method, path, query, request.json, request.authorization), call)
        targets = self._readers[rpc.name](request)
        call.audit_entry = None if is_read(rpc) else AuditEntry(rpc.name, str(targets), self._content(request))
        return targets

    def targets_of_path(self, request: PathRequest, call: Call) -> Targets:
        """Return the targets of a request given by its path, and record them for the audit log.

        Raises:
            ApiError: the application may not use this route.
        """
        return self._targets_of(request, call) if self.depends_on_targets(call) else UNCHECKED

    def depends_on_targets(self, call: Call) -> bool:
        """Return whether the targets of a call matter; lower its priority to that of its key."""
        scopes = call.principal.scopes
        call.priority = scopes.cap_priority(call.priority)
        return self._audited or not scopes.unrestricted

    def _content(self, request: Any) -> str:
        return content_of(request) if self._audit_content else ""

    def _targets_of(self, request: PathRequest, call: Call) -> Targets:
        scopes, template = call.principal.scopes, template_of(request.path)[0]
        route = f"{request.method} {template}"
        authorized = bool(request.authorization)
        targets = targets_of_request(request.method, request.path, request.query, request.json, authorized=authorized)
        name = route if call.rpc == REQUEST else call.rpc
        entry = AuditEntry(name, str(targets), self._content(request))
        call.audit_entry = None if request.method == "GET" else entry
        if call.rpc == REQUEST and not scopes.allows_route(route):
            raise denied(call.principal, f"may not use {route}; add it to the key's requests")
        redundant = request.authorization == "none" and names_token(template)
        if request.authorization and not redundant and not scopes.may_authorize:
            raise denied(call.principal, "may not send its own authorization; set the key's authorization to true")
        return targets

    async def authorize(self, targets: Targets, call: Call) -> None:
        """Raise ApiError unless the application may access every target of the call."""
        principal, scopes = call.principal, call.principal.scopes
        if targets.to_users and not scopes.may_write_to_users:
            raise denied(principal, "may not write to users; set the key's direct_messages to true")
        if targets.by_token:
            return
        if scopes.everywhere:
            await self._exclude_dm_channels(targets, call)
            return
        if targets.unplaced:
            text = "is limited to guilds or channels, and this call names none that can be checked"
            raise denied(principal, text)
        for guild_id in sorted(targets.guilds - scopes.guilds):
            raise denied(principal, f"may not access guild {guild_id}; add it to the key's guilds")
        for channel_id in sorted(targets.channels - scopes.channels):
            await self._authorize_channel(channel_id, call)

    async def may_receive(self, event: StreamEntry, call: Call) -> bool:
        """Return whether the application may receive an event. Unknown origins are refused."""
        scopes = call.principal.scopes
        if not event.guild_id:
            return event.channel_id in scopes.channels or _may_receive_outside_guilds(scopes, event)
        if scopes.everywhere or event.guild_id in scopes.guilds:
            return True
        if not (event.channel_id and scopes.channels):
            return False
        if {event.channel_id, event.parent_id} & scopes.channels:
            return True
        try:
            await self._authorize_channel(event.channel_id, call)
        except ApiError:
            return False
        return True

    async def _exclude_dm_channels(self, targets: Targets, call: Call) -> None:
        """Refuse DM channels without direct_messages: a caller may know their ids."""
        if call.principal.scopes.may_write_to_users:
            return
        for channel_id in sorted(targets.channels):
            location = await self._locate(channel_id, call)
            if location.known and not location.guild_id:
                text = f"may not access DM channel {channel_id}; set the key's direct_messages to true"
                raise denied(call.principal, text)

    async def _authorize_channel(self, channel_id: int, call: Call) -> None:
        scopes, current = call.principal.scopes, channel_id
        for _ in range(MAX_DEPTH):
            location = await self._locate(current, call)
            if location.guild_id in scopes.guilds or {current, location.parent_id} & scopes.channels:
                return
            if location.known and not location.guild_id and scopes.may_write_to_users:
                return  # a DM channel
            if not location.parent_id or not scopes.channels:
                break
            current = location.parent_id
        text = f"may not access channel {channel_id}; add it to the key's channels, or its guild to the key's guilds"
        raise denied(call.principal, text)


def _may_receive_outside_guilds(scopes: Scopes, event: StreamEntry) -> bool:
    if scopes.everywhere and event.type in BOT_EVENTS:
        return True
    # An event without guild and channel could come from any channel.
    return scopes.may_write_to_users and (scopes.everywhere or bool(event.channel_id))

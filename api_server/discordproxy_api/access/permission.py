"""Decides whether an application may do what a call asks for, before anything is spent on it; says what is missing."""

from collections.abc import Mapping
from typing import Any

from grpc import StatusCode

from discordproxy_api.access.audit import content_of
from discordproxy_api.access.channel_locator import ChannelLocator
from discordproxy_api.access.path_normalization import plain
from discordproxy_api.access.targets import Targets, reach_of, reach_of_request
from discordproxy_api.calls import errors
from discordproxy_api.calls.call import AuditEntry, Call
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.calls.principal import Principal
from discordproxy_api.calls.scopes import REQUEST, Scopes
from discordproxy_api.contract.contract import Rpc
from discordproxy_gateway.events import StreamEntry
from discordproxy_ratelimit.route import names_token, template_of

OF_THE_BOT = frozenset(
    {
        *("USER_UPDATE", "ENTITLEMENT_CREATE", "ENTITLEMENT_UPDATE", "ENTITLEMENT_DELETE"),
        *("SUBSCRIPTION_CREATE", "SUBSCRIPTION_UPDATE", "SUBSCRIPTION_DELETE"),
    }
)
"""Events about the bot and what was bought of it. All others that name no guild come from a user's channel."""

ANYWHERE = Targets()
"""Of a call that nobody asks where it goes."""

DEPTH = 3
"""A thread lies in a channel, the channel in a category."""

_ASKING = ("Get", "List", "Search", "Compute")


def is_read(rpc: Rpc) -> bool:
    """Tell whether an RPC changes nothing."""
    return rpc.method == "GET" if rpc.method else rpc.streaming or rpc.name.startswith(_ASKING)


def check_rpc(principal: Principal, rpc: Rpc) -> None:
    """Raise ApiError unless the application may call the RPC at all."""
    if not principal.scopes.allows_rpc(rpc.name, reads=is_read(rpc)):
        raise denied(principal, f"may not call {rpc.name}; its rpcs would have to name it")


def denied(principal: Principal, what: str) -> ApiError:
    """Return the refusal; `what` says what the application may not and what would allow it."""
    return errors.refusal(StatusCode.PERMISSION_DENIED, "FORBIDDEN_BY_OPERATOR", f"The application {principal} {what}.")


class Permission:
    """What applications may do with one bot.

    Args:
        places: where the bot's channels lie.
        audited: whether there is an audit log; it tells the places of all calls.
        audit_content: whether it shows what is written.
    """

    def __init__(
        self, contract: Mapping[str, Rpc], places: ChannelLocator, *, audited: bool = False, audit_content: bool = False
    ) -> None:
        self._readers = {name: reach_of(rpc) for name, rpc in contract.items()}
        self._places = places
        self._audited = audited
        self._audit_content = audit_content

    def read(self, rpc: Rpc, request: Any, call: Call) -> Targets:
        """Return what a valid request reaches, and note it for the audit log.

        Raises:
            ApiError: the application may not use this route.
        """
        scopes = call.principal.scopes
        call.priority = scopes.lower(call.priority)
        if scopes.unlimited and scopes.may_write_to_users and scopes.may_authorize and not self._audited:
            return ANYWHERE
        content = content_of(request) if self._audit_content else ""
        if rpc.name != REQUEST:
            reach = self._readers[rpc.name](request)
            call.deed = None if is_read(rpc) else AuditEntry(rpc.name, str(reach), content)
            return reach
        path = plain(request.path)
        template = template_of(path)[0]
        route = f"{request.method} {template}"
        query = [(pair.name, pair.value) for pair in request.query]
        authorized = bool(request.authorization)
        reach = reach_of_request(request.method, path, query, request.json, authorized=authorized)
        call.deed = None if request.method == "GET" else AuditEntry(route, str(reach), content)
        if not scopes.allows_route(route):
            raise denied(call.principal, f"may not use {route}; its requests would have to name it")
        needless = request.authorization == "none" and names_token(template)
        if request.authorization and not needless and not scopes.may_authorize:
            raise denied(call.principal, "may not bring an authorization; its authorization would have to be true")
        return reach

    async def check(self, reach: Targets, call: Call) -> None:
        """Raise ApiError unless the application is for every place that the call reaches."""
        principal, scopes = call.principal, call.principal.scopes
        if reach.to_users and not scopes.may_write_to_users:
            raise denied(principal, "may not write to users; direct_messages would have to be true")
        if reach.by_token:
            return
        if scopes.everywhere:
            await self._check_no_direct_message(reach, call)
            return
        if reach.unplaced:
            raise denied(principal, "is for some places only, and this call names none that could be checked")
        for guild_id in sorted(reach.guilds - scopes.guilds):
            raise denied(principal, f"is not for guild {guild_id}; its guilds would have to name it")
        for channel_id in sorted(reach.channels - scopes.channels):
            await self._check_channel(channel_id, call)

    async def sees(self, event: StreamEntry, call: Call) -> bool:
        """Tell whether the application gets an event: as `check`, with nothing taken for granted."""
        scopes = call.principal.scopes
        if not event.guild_id:
            return event.channel_id in scopes.channels or _sees_outside_guilds(scopes, event)
        if scopes.everywhere or event.guild_id in scopes.guilds:
            return True
        if not (event.channel_id and scopes.channels):
            return False
        if {event.channel_id, event.parent_id} & scopes.channels:
            return True
        try:
            await self._check_channel(event.channel_id, call)
        except ApiError:
            return False
        return True

    async def _check_no_direct_message(self, reach: Targets, call: Call) -> None:
        """Writing to users is also writing to the channels that the bot shares with them, whose ids may be known."""
        if call.principal.scopes.may_write_to_users:
            return
        for channel_id in sorted(reach.channels):
            found = await self._places.of(channel_id, call)
            if found.known and not found.guild_id:
                text = f"is not for channel {channel_id}, a user's; direct_messages would have to be true"
                raise denied(call.principal, text)

    async def _check_channel(self, channel_id: int, call: Call) -> None:
        scopes, current = call.principal.scopes, channel_id
        for _ in range(DEPTH):
            found = await self._places.of(current, call)
            if found.guild_id in scopes.guilds or {current, found.parent_id} & scopes.channels:
                return
            if found.known and not found.guild_id and scopes.may_write_to_users:
                return  # a direct message
            if not found.parent_id or not scopes.channels:
                break
            current = found.parent_id
        text = f"is not for channel {channel_id}; its channels or guilds would have to name it"
        raise denied(call.principal, text)


def _sees_outside_guilds(scopes: Scopes, event: StreamEntry) -> bool:
    if scopes.everywhere and event.type in OF_THE_BOT:
        return True
    # What names neither guild nor channel could come from anywhere.
    return scopes.may_write_to_users and (scopes.everywhere or bool(event.channel_id))

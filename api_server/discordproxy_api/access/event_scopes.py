"""What a subscriber gets of the events it asks for: nothing a key is not for. An empty wish means all it may have."""

from collections.abc import Collection
from typing import NamedTuple

from discordproxy_api.access.permission import Permission, denied
from discordproxy_api.access.targets import Targets
from discordproxy_api.calls.call import Call


class SubscriptionFilter(NamedTuple):
    """Names of events, guilds and channels; empty for all."""

    types: frozenset[str]
    guilds: frozenset[int]
    channels: frozenset[int]


async def narrow(
    permission: Permission,
    call: Call,
    *,
    types: Collection[str],
    guilds: Collection[int],
    channels: Collection[int],
) -> SubscriptionFilter:
    """Return the wish within the scopes of the call's application; raise ApiError if it names something outside them.

    It may still let events pass that are not for the application: `Permission.sees` decides about each.
    Guilds and channels of a subscription both have to match an event, so with channels named its guilds only narrow.
    """
    scopes = call.principal.scopes
    if forbidden := scopes.forbidden_events(types):
        raise denied(call.principal, f"may not subscribe to {', '.join(forbidden)}; its events would have to name it")
    if scopes.events is not None and not scopes.events:
        raise denied(call.principal, "may not subscribe to events; its events would have to name some")
    wish = SubscriptionFilter(frozenset(types) or scopes.events or frozenset(), frozenset(guilds), frozenset(channels))
    if scopes.everywhere:
        return wish
    await permission.check(Targets(frozenset() if channels else wish.guilds, wish.channels), call)
    if wish.guilds or wish.channels or scopes.channels or scopes.may_write_to_users:
        return wish  # `Permission.sees` looks at every event
    return wish._replace(guilds=scopes.guilds)

"""Restricts a subscription to the scopes of its key."""

from collections.abc import Collection
from typing import NamedTuple

from discordproxy_api.access.permission import Permission, denied
from discordproxy_api.access.targets import Targets
from discordproxy_api.calls.call import Call


class SubscriptionFilter(NamedTuple):
    """Names of events and ids of guilds and channels; an empty set selects all."""

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
    """Return the subscription, restricted to the scopes of the call's application.

    Events must still be checked one by one with `Permission.may_receive`. An event must match both the guilds and
    the channels of a subscription, so guilds are authorized only if no channels are named.

    Raises:
        ApiError: the subscription names an event, guild or channel outside the scopes.
    """
    scopes = call.principal.scopes
    if forbidden := scopes.forbidden_events(types):
        raise denied(call.principal, f"may not subscribe to {', '.join(forbidden)}; add it to the key's events")
    if scopes.events is not None and not scopes.events:
        raise denied(call.principal, "may not subscribe to events; the key's events are empty")
    types = frozenset(types) or scopes.events or frozenset()
    subscription = SubscriptionFilter(types, frozenset(guilds), frozenset(channels))
    if scopes.everywhere:
        return subscription
    await permission.authorize(Targets(frozenset() if channels else subscription.guilds, subscription.channels), call)
    if subscription.guilds or subscription.channels or scopes.channels or scopes.may_write_to_users:
        return subscription  # `Permission.may_receive` checks every event
    return subscription._replace(guilds=scopes.guilds)

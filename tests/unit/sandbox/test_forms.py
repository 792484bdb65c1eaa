"""The sandbox's forms accept every key of Discord's OpenAPI description."""

from typing import Any

import pytest

from discordproxy_sandbox.resources.application import interactions, users, webhooks
from discordproxy_sandbox.resources.channel import channels, invites, messages, threads
from discordproxy_sandbox.resources.guild import bans, guilds, members, roles, scheduled_events
from strategies.discord_spec import alternatives, body_schema, openapi, resolve

CHECKS = "request keys of 35 routes"
RESOURCES = (
    bans,
    channels,
    guilds,
    interactions,
    invites,
    members,
    messages,
    roles,
    scheduled_events,
    threads,
    users,
    webhooks,
)
ROUTES = {name: route for resource in RESOURCES for name, route in resource.ROUTES.items() if route.body}
SPEC = openapi(CHECKS)


def keys_of(schema: dict[str, Any] | None) -> set[str]:
    found: set[str] = set()
    for one in alternatives(SPEC, schema) if schema else ():
        found |= set(one.get("properties", {}))
        for part in one.get("allOf", ()):
            found |= set(resolve(SPEC, part).get("properties", {}))
    return found


@pytest.mark.parametrize("name", sorted(ROUTES))
def test_no_key_of_the_description_is_unknown(name):
    method, template = name.split(" ")
    keys = keys_of(body_schema(SPEC, method, template))
    ROUTES[name].body(dict.fromkeys(keys), "", unknown := [])
    assert unknown == []

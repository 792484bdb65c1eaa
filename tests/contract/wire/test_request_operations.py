"""The RPC Request reaches every operation of Discord's HTTP API, with its rate-limit route."""

import re
from types import SimpleNamespace

from discordproxy.discord_api_pb2 import ApiRequest
from discordproxy_api.calls.call import Call
from discordproxy_api.contract.contract import load_contract
from discordproxy_api.discord.clock import DiscordClock
from discordproxy_api.discord.nonces import Nonces
from discordproxy_api.rpcs.commands.own import OwnCommands
from discordproxy_api.rpcs.interaction_responses import InteractionResponses
from discordproxy_api.rpcs.raw_request import Request
from discordproxy_api.rpcs.route_policy import RoutePolicy
from fakes.every_case import every_case
from strategies.discord_spec import routes

OPERATIONS = routes("242 operations that Request reaches")
MAJORS = ("channel_id", "guild_id", "webhook_id")


def test_all_operations_are_covered():
    assert len(OPERATIONS) == 242


def filled(template):
    """Return the path with ids; each parameter has a different value."""
    numbers = iter(range(100000000000000001, 100000000000000099))

    def value(found):
        name = found[1]
        return {"emoji_name": "name:100000000000000077", "code": "abc"}.get(name) or (
            "a-token_x.y" * 5 if name.endswith("token") else str(next(numbers))
        )

    return re.sub(r"\{(\w+)\}", value, template)


@every_case(("method", "template"), OPERATIONS)
def test_an_operation_is_recognized(method, template):
    rest = SimpleNamespace(send=print, clock=DiscordClock(), nonces=Nonces("token"))
    procedure = Request(
        load_contract()["Request"], rest, InteractionResponses(rest, None), RoutePolicy(), OwnCommands(None, None, rest)
    )
    send = procedure.job(ApiRequest(method=method, path=filled(template)), Call("Request", "r")).run.args[0]
    request = getattr(send.args[0], "request", send.args[0])  # a response to an interaction contains its request
    found, expected = (re.sub(r"\{\w+\}", "{}", name) for name in (request.route.name, f"{method} {template}"))
    assert found.partition("#")[0] == expected
    first = re.match(r"/\w+/\{(\w+)\}", template)
    if first and first[1] in MAJORS:
        assert request.route.major.startswith(f"{first[1]}=100000000000000001")

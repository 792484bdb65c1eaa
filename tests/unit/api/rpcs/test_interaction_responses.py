"""Responses to interactions after a deferral, as requests."""

import pytest

from discordproxy_api.calls.errors import ApiError
from discordproxy_api.discord.request import RestRequest
from discordproxy_api.rpcs.interaction_responses import Response, late_request
from discordproxy_gateway.events import Deferral
from discordproxy_ratelimit.route import route_of_path

PATH = "/interactions/1/token/callback"


def late(document):
    request = RestRequest(method="POST", path=PATH, route=route_of_path("POST", PATH))
    return late_request(Response("1", "token", request, document), Deferral(5, "42"))


@pytest.mark.parametrize("kind", [[], {}, None, "4", 9])
def test_a_response_of_an_unknown_type_is_too_late(kind):
    with pytest.raises(ApiError) as refused:
        late({"type": kind})
    assert refused.value.reason == "INTERACTION_DEFERRED"


@pytest.mark.parametrize("data", [[], [1], None, 5, "x", {}])
def test_data_that_is_no_object_is_an_empty_message(data):
    assert late({"type": 4, "data": data}).body == b"{}"

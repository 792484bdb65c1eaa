"""Responses to interactions: requests after a deferral, and odd replies of Discord."""

from types import SimpleNamespace

import orjson
import pytest

from discordproxy.discord_api_pb2 import CreateInteractionResponseRequest
from discordproxy_api.calls.call import Call
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.contract.contract import load_contract
from discordproxy_api.discord.request import Reply, RestRequest
from discordproxy_api.rpcs.interaction_responses import (
    CreateInteractionResponse,
    InteractionResponses,
    Response,
    late_request,
)
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


async def respond(document, deferral=None):
    """Return the response of the RPC for a reply of Discord."""

    async def send(_request, _call):
        return Reply(200, {}, b"" if document is None else orjson.dumps(document))

    async def claim(_interaction_id):
        return deferral

    responses = InteractionResponses(SimpleNamespace(send=send), SimpleNamespace(claim_response=claim))
    rpc = CreateInteractionResponse(load_contract()["CreateInteractionResponse"], responses)
    request = CreateInteractionResponseRequest(interaction_id=1, interaction_token="token", content="x")
    return await rpc.job(request, Call("CreateInteractionResponse", "r")).run()


DEFERRED = Deferral(5, "42", given=True)


@pytest.mark.parametrize(
    "document",
    [None, {}, {"resource": None}, {"resource": "x"}, {"resource": {"message": 5}}, {"interaction": []}],
    ids=str,
)
async def test_a_reply_without_a_message_is_an_empty_response(document):
    assert not (await respond(document)).HasField("message")


@pytest.mark.parametrize("document", [[], "x", 5, [{}]], ids=str)
@pytest.mark.parametrize("deferral", [None, DEFERRED], ids=["first", "deferred"])
async def test_a_reply_that_is_no_object_is_an_error(document, deferral):
    with pytest.raises(ApiError, match="unexpected form"):
        await respond(document, deferral)


@pytest.mark.parametrize(
    "odd", [{}, {"flags": "x", "interaction_metadata": "x"}, {"interaction_metadata": {"type": "x"}}]
)
async def test_an_odd_message_after_a_deferral_is_returned(odd):
    assert (await respond({"id": "7", **odd}, DEFERRED)).message.id == 7

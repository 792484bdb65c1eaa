"""No id of a guild or channel leaves in a request without having been looked at, by random requests of every RPC.

The second opinion is `targets_of_request`, which reads what goes out to Discord instead of the caller's message.
"""

import orjson
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from discordproxy_api.access.targets import targets_of_request, targets_reader
from discordproxy_api.contract.contract import load_contract
from discordproxy_api.contract.translate import Translator
from strategies.examples import examples
from strategies.random_messages import messages

ROUTED = [rpc for rpc in load_contract().values() if rpc.template is not None]
IDS = st.integers(1, 2**64 - 1)


def ids_only(field):
    """Ids are never 0, so that every place counts."""
    return IDS if field.name.endswith("_id") and field.type == field.TYPE_UINT64 else None


@examples(150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(rpc=st.sampled_from(ROUTED), data=st.data())
def test_what_goes_out_has_been_looked_at(rpc, data):
    request = data.draw(messages(rpc.request, 3, ids_only))
    if "clear" in rpc.request.fields_by_name:
        request.ClearField("clear")
    for parameter in rpc.parameters:
        for field in rpc.request.fields:
            if field.name == parameter and field.type == field.TYPE_UINT64 and not getattr(request, field.name):
                setattr(request, field.name, data.draw(IDS))
    outgoing = Translator(rpc).outgoing(request)
    body = orjson.dumps(outgoing.body).decode() if outgoing.body is not None else ""
    seen = targets_of_request(outgoing.method, outgoing.path, outgoing.query, body)
    asked = targets_reader(rpc)(request)
    assert seen.channels <= asked.channels
    assert seen.guilds <= asked.guilds
    if seen.unplaced and not asked.by_token:
        assert asked.unplaced

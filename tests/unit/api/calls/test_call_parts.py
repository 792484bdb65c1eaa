"""The parts of a call: each has its own outcome, and the call has them all."""

import pytest

from discordproxy_api.calls.call import Call

UNKNOWN, YES, NO = "unknown", "yes", "no"


def finished(call: Call, outcome: str) -> Call:
    part = call.part()
    part.left(1.0, effect=True)
    if outcome == YES:
        part.succeeded(204, effect=True)
    elif outcome == NO:
        part.refused(403, effect=True)
    else:
        part.lost(502, effect=True)
    return part


@pytest.mark.parametrize(
    ("outcomes", "sent"),
    [((), NO), ((NO, NO), NO), ((NO, UNKNOWN), UNKNOWN), ((UNKNOWN, YES, NO), YES)],
    ids=["none", "refused", "unknown", "yes"],
)
def test_outcomes_are_added_up(outcomes, sent):
    call = Call("SyncGuildRoles", "r", app="auth", priority="low", deadline_at=7.0)
    for outcome in outcomes:
        part = finished(call, outcome)
        assert (part.sent, part.app, part.priority, part.deadline_at) == (outcome, "auth", "low", 7.0)
        call.add_part(part)
    assert (call.sent, call.attempts) == (sent, len(outcomes))


def test_a_request_in_flight_is_unknown():
    call = Call("SyncGuildRoles", "r")
    part = call.part()
    part.left(1.0, effect=True)
    call.add_part(part)
    assert call.sent == UNKNOWN
    assert not call.flying

"""`sent` is correct at each moment of a call."""

from discordproxy_api.calls.call import Call


def a_call():
    return Call("SendChannelMessage", "r1")


def test_nothing_is_sent_at_first():
    call = a_call()
    assert (call.sent, call.in_doubt, call.attempts) == ("no", False, 0)


def test_a_request_in_flight_is_unknown():
    call = a_call()
    call.left(1.0, effect=True)
    assert (call.sent, call.attempts, call.left_at) == ("unknown", 1, 1.0)


def test_refused_is_no():
    call = a_call()
    call.left(1.0, effect=True)
    call.refused(403, effect=True)
    assert (call.sent, call.answer_status) == ("no", 403)


def test_lost_then_refused_stays_unknown():
    call = a_call()
    call.left(1.0, effect=True)
    call.lost(effect=True)
    call.left(2.0, effect=True)
    call.refused(403, effect=True)
    assert (call.sent, call.left_at) == ("unknown", 1.0)


def test_lost_then_done_is_yes():
    call = a_call()
    call.left(1.0, effect=True)
    call.lost(502, effect=True)
    call.left(2.0, effect=True)
    call.succeeded(200, effect=True)
    assert (call.sent, call.in_doubt) == ("yes", False)


def test_a_partial_effect_is_yes():
    call = a_call()
    call.left(1.0, effect=True)
    call.succeeded(200, effect=True)
    call.left(2.0, effect=True)
    call.lost(effect=True)
    assert call.sent == "yes"


def test_reads_and_preparations_have_no_effect():
    call = a_call()
    call.left(1.0, effect=False)
    assert call.sent == "no"
    call.succeeded(200, effect=False)
    assert call.sent == "no"
    call.left(2.0, effect=False)
    call.lost(effect=False)
    assert (call.sent, call.in_doubt) == ("no", False)


def test_the_doubt_of_another_call():
    call = a_call()
    call.doubt()
    assert call.sent == "unknown"


def test_a_preparation_ends_no_doubt():
    call = a_call()
    call.left(1.0, effect=True)
    call.lost(effect=True)
    call.left(2.0, effect=False)
    call.succeeded(200, effect=False)
    assert (call.sent, call.in_doubt) == ("unknown", True)

"""Which failed calls are repeated, and when."""

import json

import grpc
import pytest

from discordproxy._grpc.retry import MAX_DELAY_S, MAX_RETRY_AFTER_S, delay_before_resuming, delay_before_retry
from discordproxy.client import DiscordClient
from discordproxy.exceptions import (
    DiscordProxyGrpcError,
    DiscordProxyHttpError,
    DiscordProxyTimeoutError,
    to_discord_proxy_exception,
)
from discordproxy.tests.factories import create_rpc_error
from fakes.scripted_proxy import fail, scripted_proxy

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


def failed(sent="unknown", status=UNAVAILABLE, details="Socket closed", retry_after=None, kind=DiscordProxyGrpcError):
    error = kind(status, details)
    error.sent = sent
    error.retry_after = retry_after
    return error


def delay(error, *, failures=1, retries=3, repeatable=False, remaining_s=None, jitter=1.0):
    return delay_before_retry(
        error, failures=failures, retries=retries, repeatable=repeatable, remaining_s=remaining_s, jitter=jitter
    )


def test_nothing_was_sent():
    assert delay(failed("no")) == 0.25


def test_unknown_outcome_only_if_repeatable():
    assert delay(failed("unknown")) is None
    assert delay(failed("unknown"), repeatable=True) == 0.25


def test_what_was_sent_is_not_sent_again():
    assert delay(failed("yes"), repeatable=True) is None


@pytest.mark.parametrize(
    ("status", "details", "expected"),
    [
        (grpc.StatusCode.UNKNOWN, "Stream removed", 0.25),
        (grpc.StatusCode.INTERNAL, "Received RST_STREAM with error code 2", 0.25),
        (grpc.StatusCode.INTERNAL, "something broke", None),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "no room", None),
        (grpc.StatusCode.CANCELLED, "Cancelled", None),
    ],
)
def test_only_lost_connections_count(status, details, expected):
    assert delay(failed("unknown", status, details), repeatable=True) == expected


def test_neither_answers_of_discord_nor_timeouts():
    answer = DiscordProxyHttpError(502, 0, "Bad Gateway")
    answer.sent = "no"
    assert delay(answer, repeatable=True) is None
    late = failed("no", grpc.StatusCode.RESOURCE_EXHAUSTED, "too long", kind=DiscordProxyTimeoutError)
    assert delay(late, repeatable=True) is None


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("DRAINING", True),
        ("BROKER_UNAVAILABLE", True),
        ("DISCORD_UNREACHABLE", False),
        ("CIRCUIT_OPEN", False),
        ("NO_GATEWAY", False),
        ("QUEUE_FULL", False),
        ("WAIT_EXCEEDS_MAX_WAIT", False),
        ("OUTCOME_UNKNOWN", False),
        ("INTERNAL", False),
        ("A_REASON_OF_A_LATER_PROXY", False),
    ],
)
@pytest.mark.parametrize("sent", ["no", "unknown"])
@pytest.mark.parametrize("status", [UNAVAILABLE, grpc.StatusCode.INTERNAL, grpc.StatusCode.RESOURCE_EXHAUSTED])
def test_the_answers_of_the_proxy_are_repeated_only_where_it_has_not_tried(reason, expected, sent, status):
    facts = {"type": "ProxyException", "text": "x", "reason": reason, "sent": sent, "retry_after": 0.1}
    error = to_discord_proxy_exception(create_rpc_error(code=status, details=json.dumps(facts)))
    assert (delay(error, repeatable=True) is not None) is expected


def test_one_attempt_for_one_answer_of_the_proxy():
    unreachable = {"type": "ProxyException", "text": "x", "reason": "DISCORD_UNREACHABLE", "sent": "no"}
    with scripted_proxy() as proxy, DiscordClient(proxy.address, timeout=20) as client:
        proxy.script("SendChannelMessage", *[fail(UNAVAILABLE, unreachable)] * 4)
        with pytest.raises(DiscordProxyGrpcError) as refused:
            client.create_channel_message(1, "x")
        assert (refused.value.reason, len(proxy.received)) == ("DISCORD_UNREACHABLE", 1)


def test_number_of_repetitions():
    assert delay(failed("no"), retries=0) is None
    assert delay(failed("no"), failures=3) is not None
    assert delay(failed("no"), failures=4) is None


def test_pauses_grow_up_to_a_limit_and_spread():
    assert [delay(failed("no"), failures=n, retries=9) for n in (1, 2, 3)] == [0.25, 0.5, 1.0]
    assert delay(failed("no"), failures=9, retries=9) == MAX_DELAY_S
    assert delay(failed("no"), jitter=0.0) == 0.125


def test_advice_of_the_proxy_is_followed_unless_it_is_long():
    assert delay(failed("no", retry_after=2.5)) == 2.5
    assert delay(failed("no", retry_after=MAX_RETRY_AFTER_S + 1)) is None


def test_stays_within_the_timeout():
    assert delay(failed("no"), remaining_s=0.25) is None
    assert delay(failed("no"), remaining_s=0.26) == 0.25


def resumed(reason="", *, status=UNAVAILABLE, failures=1, jitter=1.0, retry_after=None, kind=DiscordProxyGrpcError):
    error = failed(status=status, kind=kind, retry_after=retry_after)
    error.reason = reason
    return delay_before_resuming(error, failures=failures, jitter=jitter)


@pytest.mark.parametrize("reason", ["DRAINING", "STREAM_ENDED", "SUBSCRIBER_TOO_SLOW"])
def test_a_stream_that_ends_in_order_goes_on_at_once(reason):
    assert resumed(reason, jitter=0.0) == 0
    assert resumed(reason, jitter=0.0, retry_after=4.0, failures=2) == 4.0


def test_a_stream_comes_back_after_growing_pauses_but_never_gives_up():
    pauses = [resumed(failures=failures) for failures in range(1, 200)]
    assert pauses[:3] == [0.25, 0.5, 1.0]
    assert set(pauses[6:]) == {5.0}
    assert resumed("NO_GATEWAY", retry_after=60.0) == 5.0
    assert resumed(status=grpc.StatusCode.DEADLINE_EXCEEDED, kind=DiscordProxyTimeoutError) == 0.25


@pytest.mark.parametrize("status", ["INVALID_ARGUMENT", "FAILED_PRECONDITION", "UNAUTHENTICATED", "PERMISSION_DENIED"])
def test_a_stream_that_was_refused_for_good_is_not_asked_for_again(status):
    assert resumed(status=grpc.StatusCode[status]) is None


def test_a_subscription_that_discord_would_not_take_is_not_repeated():
    assert delay_before_resuming(DiscordProxyHttpError(400, 50035, "x"), failures=1, jitter=1.0) is None

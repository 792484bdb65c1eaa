"""Errors as HTTP answers, case by case."""

import pytest

from discordproxy_api.calls import errors
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.calls.field_errors import FieldError
from discordproxy_api.calls.retry import Repeat
from discordproxy_api.rest_edge.refusals import FailedCall, nested, refusal_of
from discordproxy_ratelimit import errors as broker

NOW = 1_795_898_400.0


def of(error: broker.BrokerError) -> ApiError:
    return errors.from_broker(error)


def discord(status):
    return ApiError("UNAVAILABLE", "DISCORD_ERROR", "x", http_status=status)


def own(reason: str, status: str = "UNKNOWN", **details) -> ApiError:
    return errors.refusal(status, reason, "text", **details)


@pytest.mark.parametrize(
    ("error", "call", "status"),
    [
        (of(broker.WaitRefusedError("x", retry_after_s=12.48)), {}, 429),
        (of(broker.WaitRefusedError("x", reason="WAIT_EXCEEDS_MAX_WAIT")), {}, 429),
        (of(broker.WaitRefusedError("x", reason="QUEUE_FULL")), {}, 429),
        (of(broker.DrainingError("x")), {}, 429),
        (errors.draining(), {}, 429),
        (of(broker.BrokerUnavailableError("x")), {"outage_s": 1.0}, 429),
        (of(broker.BrokerUnavailableError("x")), {"outage_s": 30.0}, 503),
        (of(broker.CircuitOpenError("x", retry_after_s=60.0)), {}, 429),
        (of(broker.ShareUsedError("x")), {}, 429),
        (of(broker.KnownRefusalError("x", status=404, code=10003)), {}, 404),
        (of(broker.TokenRejectedError("x")), {}, 503),
        (of(broker.TokenRejectedError("x")), {"own_credential": True}, 401),
        (own("DISCORD_UNREACHABLE"), {}, 502),
        (own("DISCORD_UNREACHABLE"), {"sent": "unknown", "repeat": Repeat.ALWAYS}, 504),
        (own("DISCORD_UNREACHABLE"), {"sent": "unknown", "repeat": Repeat.NONCE}, 504),
        (own("DISCORD_UNREACHABLE"), {"sent": "unknown", "repeat": Repeat.NEVER}, 408),
        (own("INTERNAL"), {"sent": "yes", "repeat": Repeat.NEVER}, 408),
        (own("INTERNAL"), {}, 500),
        (own("OUTCOME_UNKNOWN"), {"sent": "unknown", "repeat": Repeat.NEVER}, 408),
        (discord(500), {"sent": "unknown", "repeat": Repeat.NEVER}, 408),
        (discord(504), {"sent": "unknown", "repeat": Repeat.NEVER}, 408),
        (discord(524), {"sent": "unknown", "repeat": Repeat.NEVER}, 408),
        (discord(502), {"sent": "unknown", "repeat": Repeat.NEVER}, 502),
        (discord(503), {"sent": "unknown", "repeat": Repeat.NEVER}, 503),
        (discord(500), {"sent": "unknown", "repeat": Repeat.NONCE}, 500),
        (own("DEADLINE_EXCEEDED"), {}, 429),
        (own("UNAUTHENTICATED"), {}, 401),
        (own("LOCKED_OUT"), {}, 401),
        (own("FORBIDDEN_BY_OPERATOR"), {}, 403),
        (own("REQUEST_TOO_LARGE"), {}, 413),
        (errors.invalid_field("path", "INVALID_PATH", "x"), {}, 400),
        (errors.invalid_field("options.idempotency_key", "IDEMPOTENCY_KEY_REUSED", "x"), {}, 422),
        (own("SOMETHING_NEW"), {}, 500),
    ],
)
def test_statuses(error, call, status):
    refusal = refusal_of(error, FailedCall("id", **call))
    assert refusal.status == status
    assert refusal.headers(NOW)["X-Discordproxy-Reason"] == error.reason
    if status in {408, 429, 503}:
        assert refusal.headers(NOW)["Retry-After"].isdigit()


def test_a_429_is_complete():
    error = of(broker.WaitRefusedError("long", retry_after_s=12.48, reason="WAIT_EXCEEDS_MAX_WAIT"))
    call = FailedCall("id", route="fingerprint")
    refusal = refusal_of(error, call)
    assert refusal.headers(NOW) == {
        "X-Discordproxy-Reason": "WAIT_EXCEEDS_MAX_WAIT",
        "Retry-After": "13",
        "X-RateLimit-Limit": "500",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": "1795898412.480",
        "X-RateLimit-Reset-After": "12.480",
        "X-RateLimit-Bucket": "fingerprint",
        "X-RateLimit-Scope": "shared",
    }
    document = refusal.document(call)
    assert document["message"] == "The resource is being rate limited."
    assert (document["retry_after"], document["global"], document["code"]) == (12.48, False, 0)
    assert document["discordproxy"]["sent"] == "no"


def test_an_open_circuit_is_a_global_limit():
    refusal = refusal_of(of(broker.CircuitOpenError("blocked", retry_after_s=60.0)), FailedCall("id"))
    assert refusal.headers(NOW)["X-RateLimit-Global"] == "true"
    assert refusal.document(FailedCall("id"))["global"] is True


def test_wrong_fields_have_discords_form():
    fields = (
        FieldError("embeds[0].title", "A", "a"),
        FieldError("embeds[0].title", "B", "b"),
        FieldError("path", "C", "c"),
    )
    both = [{"code": "A", "message": "a"}, {"code": "B", "message": "b"}]
    assert nested(fields) == {
        "embeds": {"0": {"title": {"_errors": both}}},
        "path": {"_errors": [{"code": "C", "message": "c"}]},
    }

import pytest

from discordproxy_sandbox.limits.book import DELETE_MESSAGE, HiddenLimit, LimitBook, LimitedRequest, RouteLimit
from discordproxy_sandbox.limits.defaults import default_book

EPOCH = 1_790_000_000.0
SEND = "/channels/{channel_id}/messages"
EDIT = "/channels/{channel_id}"


def send(**kwargs) -> LimitedRequest:
    return LimitedRequest(method="POST", template=SEND, **({"major": "1"} | kwargs))


def burst(book: LimitBook, call: LimitedRequest, count: int, now: float = EPOCH) -> list[bool]:
    return [book.judge(call, now).allowed for _ in range(count)]


def test_default_send_limit_is_five_per_five_seconds_and_channel():
    book = default_book()
    assert burst(book, send(), 6) == [True] * 5 + [False]
    assert book.judge(send(major="2"), EPOCH).allowed
    assert book.judge(send(credential="other bot"), EPOCH).allowed


def test_headers_of_a_leaky_bucket():
    headers = default_book().judge(send(), EPOCH).headers()
    assert headers["X-RateLimit-Limit"] == "5"
    assert headers["X-RateLimit-Remaining"] == "4"
    assert headers["X-RateLimit-Reset"] == f"{EPOCH + 1:.3f}"
    assert headers["X-RateLimit-Reset-After"] == "1.000"
    assert len(headers["X-RateLimit-Bucket"]) == 32
    assert "X-RateLimit-Scope" not in headers


def test_headers_and_body_of_a_refusal():
    book = LimitBook(routes={f"POST {SEND}": RouteLimit(limit=1, window_s=1.5, kind="fixed")})
    book.judge(send(), EPOCH)
    refused = book.judge(send(), EPOCH + 0.25)
    assert refused.headers()["Retry-After"] == "2"
    assert refused.headers()["X-RateLimit-Scope"] == "user"
    assert refused.headers()["X-RateLimit-Remaining"] == "0"
    assert refused.body() == {"message": "You are being rate limited.", "retry_after": 1.25, "global": False}
    assert refused.avoidable


def test_global_refusal_shows_no_bucket():
    book = LimitBook(routes={f"POST {SEND}": None}, global_limit=2)
    burst(book, send(), 2)
    refused = book.judge(send(), EPOCH + 0.5)
    assert refused.headers() == {
        "X-RateLimit-Scope": "global",
        "X-RateLimit-Global": "true",
        "Retry-After": "1",
    }
    assert refused.body()["global"] is True
    assert book.judge(send(exempt=True), EPOCH + 0.5).allowed
    assert book.judge(send(credential="other bot"), EPOCH + 0.5).allowed


@pytest.mark.parametrize(("kind", "shown"), [("fixed", "5.000"), ("leaky", "1.000")])
def test_kind_of_the_book_overrides_the_routes(kind, shown):
    book = default_book()
    book.kind = kind
    assert book.judge(send(), EPOCH).headers()["X-RateLimit-Reset-After"] == shown


@pytest.mark.parametrize(
    ("age_s", "limit"), [(1.0, 5), (9.9, 5), (10.0, 3), (14 * 86_400, 3), (14 * 86_400 + 1, 30), (None, 3)]
)
def test_deleting_messages_has_three_buckets_by_age(age_s, limit):
    book = default_book()
    call = LimitedRequest(method="DELETE", template=DELETE_MESSAGE.split()[1], major="1", age_s=age_s)
    assert burst(book, call, limit + 1) == [True] * limit + [False]


def test_reactions_of_a_channel_share_one_bucket_across_methods():
    book = default_book()
    template = "/channels/{channel_id}/messages/{message_id}/reactions/{emoji_name}/@me"
    put = book.judge(LimitedRequest(method="PUT", template=template, major="1"), EPOCH)
    delete = book.judge(LimitedRequest(method="DELETE", template=template, major="1"), EPOCH + 0.1)
    assert put.bucket == delete.bucket
    assert delete.retry_after == pytest.approx(0.15, abs=1e-5)


def test_name_and_topic_are_limited_apart_and_headers_do_not_show_it():
    book = default_book()
    name, topic, other = (
        LimitedRequest(method="PATCH", template=EDIT, major="1", body_keys=frozenset({key}))
        for key in ("name", "topic", "nsfw")
    )
    assert burst(book, name, 3) == [True, True, False]
    refused = book.judge(name, EPOCH + 5)
    assert refused.scope == "user"
    assert refused.headers()["X-RateLimit-Remaining"] == "6"
    assert refused.retry_after == pytest.approx(595)
    assert burst(book, topic, 2) == [True, True]
    assert book.judge(other, EPOCH).allowed


RENAME = LimitedRequest(method="PATCH", template=EDIT, major="1", body_keys=frozenset({"name"}))


def test_a_hidden_refusal_becomes_avoidable_once_announced():
    book = default_book()
    burst(book, RENAME, 2)
    first = book.judge(RENAME, EPOCH + 1.0)
    first.announce(EPOCH + 1.1)
    racing, ignorant = (book.judge(RENAME, EPOCH + after) for after in (1.5, 30.0))
    assert (first.avoidable, racing.avoidable, ignorant.avoidable) == (False, False, True)


def test_an_unannounced_hidden_refusal_makes_none_avoidable():
    book = default_book()
    assert not any(book.judge(RENAME, EPOCH + after).avoidable for after in (0, 0, 1, 30, 60))


def test_a_late_announcement_or_one_of_an_earlier_window_makes_none_avoidable():
    book = default_book()
    burst(book, RENAME, 2)
    late = book.judge(RENAME, EPOCH + 590.0)
    burst(book, RENAME, 2, now=EPOCH + 600.0)
    late.announce(EPOCH + 601.0)
    unheard = book.judge(RENAME, EPOCH + 610.0)
    unheard.announce(EPOCH + 630.0)
    racing, ignorant = (book.judge(RENAME, EPOCH + after) for after in (630.5, 640.0))
    assert (unheard.avoidable, racing.avoidable, ignorant.avoidable) == (False, False, True)


def test_only_the_longer_of_two_hidden_refusals_is_announced():
    book = default_book()
    topic = LimitedRequest(method="PATCH", template=EDIT, major="1", body_keys=frozenset({"topic"}))
    both = LimitedRequest(method="PATCH", template=EDIT, major="1", body_keys=frozenset({"name", "topic"}))
    burst(book, RENAME, 2)
    burst(book, topic, 2, now=EPOCH + 5.0)
    book.judge(both, EPOCH + 10.0).announce(EPOCH + 10.0)
    assert not book.judge(RENAME, EPOCH + 20.0).avoidable
    assert book.judge(topic, EPOCH + 20.0).avoidable
    book = default_book()
    burst(book, RENAME, 2)
    book.judge(RENAME, EPOCH + 4.0).announce(EPOCH + 4.0)
    burst(book, topic, 2, now=EPOCH + 5.0)
    told = book.judge(both, EPOCH + 10.0)
    assert (told.retry_after, told.avoidable) == (pytest.approx(595), True)


def test_shared_limit_counts_all_webhooks_of_a_channel_and_keeps_the_user_headers():
    book = default_book()
    template = "/webhooks/{webhook_id}/{webhook_token}"
    rulings = [
        book.judge(
            LimitedRequest(
                method="POST", template=template, major=f"webhook {n % 10}", resource="channel", credential="ip"
            ),
            EPOCH,
        )
        for n in range(31)
    ]
    assert [r.allowed for r in rulings] == [True] * 30 + [False]
    assert rulings[-1].scope == "shared"
    assert rulings[-1].headers()["X-RateLimit-Remaining"] == "1"
    assert rulings[-1].body()["message"] == "The resource is being rate limited."


def test_route_without_headers_may_still_refuse():
    book = LimitBook(routes={f"POST {SEND}": RouteLimit(limit=1, window_s=5.0, headers=False)})
    assert book.judge(send(), EPOCH).headers() == {}
    refused = book.judge(send(), EPOCH)
    assert refused.headers() == {"X-RateLimit-Scope": "user", "Retry-After": "5"}
    assert not refused.avoidable


def test_hash_changes_keep_the_state_of_the_bucket():
    book = default_book()
    before = [book.judge(send(), EPOCH) for _ in range(3)][-1]
    book.change_hash(f"POST {SEND}", "another")
    after = book.judge(send(), EPOCH)
    assert after.bucket != before.bucket
    assert after.shown.remaining == before.shown.remaining - 1


def test_limit_changes_apply_to_buckets_in_use():
    book = default_book()
    burst(book, send(), 3)
    book.set(f"POST {SEND}", RouteLimit(limit=2, window_s=5.0))
    refused = book.judge(send(), EPOCH)
    assert not refused.allowed
    assert refused.headers()["X-RateLimit-Limit"] == "2"


def test_global_limit_changes_at_run_time():
    book = LimitBook(default=None)
    burst(book, send(), 10)
    book.set_global(5)
    assert not book.judge(send(), EPOCH).allowed
    book.set_global(None)
    assert book.judge(send(), EPOCH).allowed


def test_hidden_limits_can_be_set():
    book = LimitBook(default=None)
    book.set_hidden(f"POST {SEND}", [HiddenLimit(name="slow", limit=1, window_s=60.0, scope="shared", code=20028)])
    book.judge(send(), EPOCH)
    refused = book.judge(send(credential="other bot"), EPOCH)
    assert refused.scope == "shared"
    assert refused.body()["code"] == 20028


def test_headers_of_a_hidden_limits_429s():
    shown = {}
    for shows in ("bucket", "itself", "nothing"):
        book = LimitBook(default=RouteLimit(limit=50_000, window_s=60.0))
        book.set_hidden(f"POST {SEND}", [HiddenLimit(name="small", limit=5, window_s=5.0, shows=shows)])
        accepted = [book.judge(send(), EPOCH) for _ in range(5)]
        assert {ruling.headers()["X-RateLimit-Limit"] for ruling in accepted} == {"50000"}
        refused = book.judge(send(), EPOCH + 1)
        assert (refused.allowed, refused.avoidable, refused.retry_after) == (False, False, 4.0)
        shown[shows] = (refused.headers().get("X-RateLimit-Limit"), refused.bucket == accepted[0].bucket)
    assert shown == {"bucket": ("50000", True), "itself": ("5", False), "nothing": (None, False)}


def test_hidden_limits_of_one_name_are_one_limit_of_several_routes():
    book = LimitBook(default=None)
    for method in ("POST", "GET"):
        book.set_hidden(f"{method} {SEND}", [HiddenLimit(name="both", limit=2, window_s=5.0)])
    reading = LimitedRequest(method="GET", template=SEND, major="1")
    assert [book.judge(call, EPOCH).allowed for call in (reading, send(major="1"), reading)] == [True, True, False]


def test_buckets_that_are_full_again_are_forgotten():
    book = LimitBook(default=RouteLimit(limit=5, window_s=5.0), global_limit=None)
    for n in range(20_000):
        book.judge(send(major=str(n)), EPOCH + n)
    assert len(book._buckets) < 5000

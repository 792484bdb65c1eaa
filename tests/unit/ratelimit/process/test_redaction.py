"""Secrets are removed; ordinary lines are unchanged."""

import pytest

from discordproxy_ratelimit.process.redaction import Redaction

BOT = "MTAwMDAwMDAwMDAwMDAwMDAx.GaBcDe.c4nary-c4nary-c4nary-c4nary"
WEBHOOK = "aB3" + "x" * 65


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"token {BOT} refused", "token *** refused"),
        (f"Authorization: Bot {BOT}", "Authorization: Bot ***"),
        ("Bearer abcdefghijk12345", "Bearer ***"),
        ("redis://:p%40ss@cache:6379/0 is away", "redis://***@cache:6379/0 is away"),
        ("rediss://user:pass@cache:6379", "rediss://***@cache:6379"),
        (f"POST /webhooks/123/{WEBHOOK}/messages", "POST /webhooks/123/***/messages"),
        (f"https://discord.com/api/v10/interactions/1/{'t' * 40}/callback", "https://discord.com/api/v10/interactions/1/***/callback"),
        ("got aW50ZXJhY3Rpb246MTIzNDU2Nzg5MDEyMzQ1Njc4OTphYmNk== back", "got *** back"),
        (f"alone {WEBHOOK} in a line", "alone *** in a line"),
        ('{"token": "abcdefgh", "id": 5}', '{"token": "***", "id": 5}'),
        ("url?api_key=abcdefgh&x=1", "url?api_key=***&x=1"),
        (f"key dpk_{'k' * 43} expired", "key *** expired"),
        ("client_secret=abcdefgh", "client_secret=***"),
    ],
)  # fmt: skip
def test_secrets_are_taken_out_by_their_shape(text: str, expected: str) -> None:
    assert Redaction()(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "logged in as bot 100000000000000001",
        "discordproxy_ratelimit.redis.client.something_long_enough_to_be_a_name",
        "POST /webhooks/{webhook_id}/{webhook_token}/messages: repeated in 0.20 s [0123456789abcdef]",
        "SendChannelMessage OK app=srp sent=yes requests=1 http=200 0.123 s [4f9c0f0e1d2c3b4a]",
        "DISCORDPROXY_TOKEN_FILE: cannot read '/run/token' (No such file); it must hold the bot token and nothing else",
        "private server ready at unix:///run/user/0/discordproxy/0123456789abcdef/broker.sock",
        "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "Redis at redis://***@cache:6379 answers",
    ],
)
def test_ordinary_lines_stay_as_they_are(text: str) -> None:
    assert Redaction()(text) == text


def test_known_secrets_are_taken_out_wherever_they_stand() -> None:
    redact = Redaction(["hunter2", "hunter2-long", "", "abc"])
    assert redact("xhunter2-longx hunter2 abc") == "x***x *** abc"
    assert "hunter" not in repr(redact)

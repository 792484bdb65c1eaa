"""What a reply of Discord is read as."""

import orjson
import pytest

from discordproxy_api.discord.request import Reply


def document(body):
    return Reply(200, {}, body).document()


def test_what_a_strict_reader_refuses_does_not_lose_the_answer():
    assert document(b'{"id":"5","content":"a\\ud83d"}') == {"id": "5", "content": "a?"}
    assert document(b'{"id":"5","duration_secs":1e400}') == {"id": "5", "duration_secs": float("inf")}
    assert document(b"") is None


@pytest.mark.parametrize("body", [b"<html>", b'{"id":', b"\xff", b"[" * 5000])
def test_what_is_no_json_is_an_error(body):
    with pytest.raises(orjson.JSONDecodeError):
        document(body)

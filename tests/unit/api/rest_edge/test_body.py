"""Bodies of HTTP requests: read where necessary, otherwise passed on byte by byte."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discordproxy_api.http.multipart import MultipartError, boundary_of, parts_of
from discordproxy_api.rest_edge.body import (
    UNREADABLE,
    enforced_nonce,
    fingerprint_of,
    read_body,
    takes_nonce,
    with_nonce,
)

JSON = "application/json"


def form(*parts: tuple[str, str, bytes], boundary: str = "b0undary") -> tuple[bytes, str]:
    """Return a form and its content type; a part is the parameters behind `name`, further headers, and content."""
    data = b"".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{headers}\r\n\r\n'.encode() + content + b"\r\n"
        for name, headers, content in parts
    )
    return data + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


FILE = ("files[0]", '; filename="ä.bin"\r\nContent-Type: image/png', bytes(range(256)))
PAYLOAD = ("payload_json", "\r\nContent-Type: application/json", b'{"content": "x"}')


def test_json_is_read_and_kept():
    body = read_body(b'{"content": "x"}', JSON)
    assert (body.object, body.json_text, body.readable) == ({"content": "x"}, '{"content": "x"}', True)


def test_the_json_of_a_form_is_found():
    body = read_body(*form(FILE, PAYLOAD))
    assert body.object == {"content": "x"}
    [file] = body.files()
    assert (file.field, file.filename, file.content, file.content_type) == ("files[0]", "ä.bin", FILE[2], "image/png")


def test_an_encoded_form_of_json_alone_is_that_json():
    """py-cord sends each response to an interaction so."""
    body = read_body(b"payload_json=%7B%22content%22%3A+%22%C3%A4+%2B%22%7D", "application/x-www-form-urlencoded")
    assert (body.data, body.content_type) == ('{"content": "ä +"}'.encode(), JSON)
    assert body.object == {"content": "ä +"}
    assert takes_nonce(body)


@pytest.mark.parametrize(
    "data",
    [
        b"payload_json={}&payload_json={}",
        b"payload_json={}&content=x",
        b"content=x",
        b"payload_json=%ff",
        b"payload_json=",
    ],
)
def test_other_encoded_forms_are_passed_on(data):
    body = read_body(data, "application/x-www-form-urlencoded")
    assert (body.data, body.content_type, body.readable) == (data, "application/x-www-form-urlencoded", False)


@pytest.mark.parametrize(
    "body",
    [
        read_body(b"{", JSON),
        read_body(b"{}", "text/plain"),
        read_body(b"channel_id=1", "application/x-www-form-urlencoded"),
        read_body(*form(PAYLOAD, PAYLOAD)),
        read_body(*form(("message_reference[channel_id]", "", b"1"), PAYLOAD)),
        read_body(*form(("payload_json", "\r\nContent-Transfer-Encoding: base64", b"e30="))),
        read_body(*form(("payload_json", '; filename="x"', b"{}"))),
        read_body(b"garbage", "multipart/form-data; boundary=b"),
        read_body(form(PAYLOAD)[0], "multipart/form-data; boundary=b0undary; boundary=x"),
        read_body(form(PAYLOAD)[0][:-12], "multipart/form-data; boundary=b0undary"),
    ],
)
def test_where_discord_may_read_something_else_targets_are_unknown(body):
    assert body.json_text == UNREADABLE


def test_an_empty_body_has_no_targets():
    assert read_body(b"", "application/octet-stream").json_text == ""


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"content": "x"}', b'{"nonce":"n","enforce_nonce":true,"content": "x"}'),
        (b" { } ", b' {"nonce":"n","enforce_nonce":true } '),
        (b'{"nonce": null, "content": "x"}', b'{"nonce":"n","content":"x","enforce_nonce":true}'),
    ],
)
def test_a_nonce_is_added_and_nothing_else_changes(data, expected):
    body = read_body(data, JSON)
    assert takes_nonce(body)
    assert with_nonce(body, "n") == expected


def test_a_nonce_in_a_form_replaces_its_json_only():
    data, content_type = form(FILE, PAYLOAD, ("x", "", b"--b0undar"))
    changed = with_nonce(read_body(data, content_type), "n")
    assert changed.replace(b'"nonce":"n","enforce_nonce":true,', b"") == data
    assert read_body(changed, content_type).object == {"content": "x", "nonce": "n", "enforce_nonce": True}


@pytest.mark.parametrize(
    ("document", "takes", "enforces"),
    [
        ({"nonce": "a"}, False, False),
        ({"nonce": 7, "enforce_nonce": True}, False, True),
        ({"enforce_nonce": True}, True, False),
        ([], False, False),
    ],
)
def test_a_callers_nonce_is_left_alone(document, takes, enforces):
    body = read_body(json.dumps(document).encode(), JSON)
    assert (takes_nonce(body), enforced_nonce(body) is not None) == (takes, enforces)


@pytest.mark.parametrize("nonce", [[], {}, [1], True, 0, 1.5])
def test_a_nonce_of_any_type_is_left_to_discord(nonce):
    body = read_body(json.dumps({"content": "x", "nonce": nonce}).encode(), JSON)
    assert not takes_nonce(body)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32", "latin-1"])
def test_json_in_another_encoding_is_left_to_discord(encoding):
    """A nonce in UTF-8 would damage it."""
    body = read_body('{"content": "é"}'.encode(encoding), JSON)
    assert (takes_nonce(body), body.readable) == (False, False)


def test_a_new_boundary_is_the_same_request():
    one, other = (read_body(*form(FILE, PAYLOAD, boundary=name)) for name in ("one", "other"))
    assert fingerprint_of(one, "a") == fingerprint_of(other, "a")
    assert fingerprint_of(one, "a") != fingerprint_of(one, "b")
    assert fingerprint_of(one, "a") != fingerprint_of(read_body(*form(PAYLOAD)), "a")


JSON_VALUES = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5)


@given(st.dictionaries(st.text(), JSON_VALUES, max_size=4))
def test_a_message_keeps_its_meaning(document):
    body = read_body(json.dumps(document).encode(), JSON)
    if takes_nonce(body):
        assert json.loads(with_nonce(body, "n")) == {**document, "nonce": "n", "enforce_nonce": True}


@given(st.binary(max_size=200), st.binary(max_size=50))
def test_no_bytes_break_the_parser(data, tail):
    for body in (
        data,
        b"--b\r\n" + data,
        b"--b\r\nContent-Disposition: form-data; name=x\r\n\r\n" + tail + b"\r\n--b--",
    ):
        try:
            parts = parts_of(body, b"b")
        except MultipartError:
            continue
        assert all(part.start <= part.end <= len(body) for part in parts)


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ('Multipart/Form-Data; charset=utf-8; boundary="a b"', b"a b"),
        ("multipart/mixed; boundary=abc", None),
        ("application/json", None),
    ],
)
def test_boundaries(content_type, boundary):
    assert boundary_of(content_type) == boundary

"""Forms with files, read back by parsers of other projects."""

import email
import email.policy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discordproxy_api.contract.translate import OutgoingFile
from discordproxy_api.discord.form import form_of
from discordproxy_api.discord.request import RestRequest
from discordproxy_api.http.multipart import boundary_of, parts_of
from discordproxy_ratelimit.route import route_of_path

ROUTE = route_of_path("POST", "/channels/81384788765712384/messages")
BODY = b'{"content":"\xc3\xa4 \\n \\" \\u2028"}'


def form(*files, body=BODY):
    return form_of(RestRequest("POST", "/x", ROUTE, body=body, files=files))


def as_mail(content_type, pieces):
    """Return disposition, type and content of each part, as the standard library reads mail."""
    document = b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + b"".join(pieces)
    return [
        (
            part.get_param("name", header="content-disposition"),
            part.get_filename(),
            part["content-type"],
            part.get_payload(decode=True),
        )
        for part in email.message_from_bytes(document, policy=email.policy.HTTP).iter_parts()
    ]


def as_own(content_type, pieces):
    """Return the same as the REST port reads it."""
    data = b"".join(pieces)
    return [
        (part.name, part.filename, part.content_type, data[part.start : part.end])
        for part in parts_of(data, boundary_of(content_type))
    ]


@pytest.mark.parametrize("read", [as_mail, as_own])
@pytest.mark.parametrize(
    ("name", "read_name"),
    [
        ("a b.txt", "a b.txt"),
        ('q"uote.txt', 'q"uote.txt'),
        ("back\\slash", "back\\slash"),
        ('both\\"', 'both\\"'),
        ("end\\", "end\\"),
        ('x"; name="y', 'x"; name="y'),
        ("UTF-8''%e4.txt", "UTF-8''%e4.txt"),
        ("a;b=c", "a;b=c"),
        ("\U0001f600 \xe4", "\U0001f600 \xe4"),
        ("x\r\ny: z\0\t\x1b\x7f", "x%0D%0Ay: z%00%09%1B%7F"),
        ("half \ud800", "half ?"),
        ("n" * 10_000, "n" * 10_000),
    ],
    ids=lambda name: ascii(name[:12]),
)
def test_a_file_name_arrives(read, name, read_name):
    payload, file = read(*form(OutgoingFile("files[0]", name, b"\r\n--x\r\n\0\xff", "text/plain")))
    assert payload == ("payload_json", None, "application/json", BODY)
    assert file == ("files[0]", read_name, "text/plain", b"\r\n--x\r\n\0\xff")


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("", "application/octet-stream"),
        ("text/plain; x=\u200b", "text/plain; x=\u200b"),
        ("a\xa0b", "a\xa0b"),
        ("text/plain\r\n\r\nx", "text/plain%0D%0A%0D%0Ax"),
        ("text/plain;\tx", "text/plain;%09x"),
    ],
    ids=ascii,
)
def test_a_type_stays_on_its_line(given, sent):
    assert [kind for _, _, kind, _ in as_own(*form(OutgoingFile("files[0]", "a", b"1", given)))][1] == sent


@given(
    names=st.lists(st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1), min_size=1, max_size=10),
    content=st.binary(max_size=40),
)
def test_every_file_arrives_in_its_order(names, content):
    files = [OutgoingFile(f"files[{index}]", name, content, "") for index, name in enumerate(names)]
    _, *read = as_own(*form(*files))
    assert [(field, name, part) for field, name, _, part in read] == [
        (file.field, file.filename, content) for file in files
    ]


def test_the_contents_of_files_are_not_copied():
    content = b"x" * 1000
    _, pieces = form(OutgoingFile("files[0]", "a", content, ""))
    assert any(piece is content for piece in pieces)

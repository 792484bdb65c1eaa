"""Checks that no field of today's contract needs by itself, and the forms of texts one by one."""

from types import SimpleNamespace

import pytest

from discordproxy import discord_api_pb2 as pb
from discordproxy_api.calls.field_errors import FieldErrors
from discordproxy_api.contract.contract import is_list
from discordproxy_api.contract.rules.checks import compile_check, path_check
from discordproxy_api.contract.rules.limits import Form, Limit

TEXT = pb.User.DESCRIPTOR.fields_by_name["username"]


def refused(check, value):
    problems = FieldErrors()
    check(value, "field", problems)
    return bool(problems.found)


@pytest.mark.parametrize("value", ["", ".", "..", "a/b", "a\\b", "a\nb", "\u2028", "x" * 257])
def test_a_path_parameter_without_a_form_of_its_own_is_one_plain_segment(value):
    assert refused(path_check(TEXT), value)
    assert not refused(path_check(TEXT), "plain-segment_1")


@pytest.mark.parametrize(
    ("form", "good", "bad"),
    [
        (
            Form.WEB,
            ["https://x.y", "HTTP://x.y/?a=b#c", "https://ä.de/ß"],
            ["x.y", "discord://x", "https:/x", " https://x.y"],
        ),
        (Form.LINK, ["discord://-/channels", "https://x.y"], ["attachment://a", "mailto:a@b.c"]),
        (
            Form.MEDIA,
            ["attachment://a b.png".replace(" ", "_"), "https://x.y"],
            ["discord://x", "data:image/png;base64,AA"],
        ),
        (
            Form.TIME,
            ["2026-07-18T17:21:09.123000+00:00", "2026-07-18T17:21:09Z"],
            ["18.7.2026", "now", "2026-07-18T25:00:00Z"],
        ),
        (
            Form.IMAGE,
            ["data:image/png;base64,AAAA", "data:image/svg+xml;base64,AA=="],
            ["AAAA", "data:text/html;base64,AA"],
        ),
        (Form.FILENAME, ["a b.png", "ä"], ["a\tb", "a\0"]),
        (Form.TOKEN, ["aZ09-_"], ["a.b", "a/b", "ä", ""]),
        (Form.EMOJI, ["👍", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "a:dance:5", "name:5"], ["name", "👍👍/", "👍 "]),
    ],
)
def test_forms(form, good, bad):
    check = compile_check(TEXT, Limit(1, 100, form=form))
    assert [refused(check, value) for value in good] == [False] * len(good)
    assert [refused(check, value) for value in bad] == [True] * len(bad)


def test_lists_are_recognized_by_old_protobuf_too():
    """Protobuf 5 has only `label`, newer ones have `is_repeated`."""
    assert is_list(SimpleNamespace(label=3))
    assert not is_list(SimpleNamespace(label=1))
    assert is_list(SimpleNamespace(is_repeated=True))

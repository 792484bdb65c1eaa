"""Which attachments a change that adds files has to list."""

import pytest

from discordproxy_api.calls.field_errors import InvalidRequestError
from discordproxy_api.contract.rules.attachments import with_kept_attachments

MESSAGE, FILE, LATER, OLDER = (str(number << 22) for number in (10_000_000, 9_999_900, 10_500_000, 5_000_000))
CDN = "https://cdn.discordapp.com/attachments"
NEW = {"id": "0", "filename": "new"}


def ids(message, **body):
    whole = with_kept_attachments({"attachments": [NEW], **body}, {"id": MESSAGE, "channel_id": "7", **message})
    assert whole["attachments"][-1] == NEW
    return [each["id"] for each in whole["attachments"][:-1]]


def image(attachment_id, channel="7", kind="attachments"):
    return {"image": {"url": f"https://cdn.discordapp.com/{kind}/{channel}/{attachment_id}/a.png?ex=1"}}


def test_those_that_are_listed():
    assert ids({"attachments": [{"id": FILE}, {"id": LATER}]}) == [FILE, LATER]


@pytest.mark.parametrize(
    ("embed", "stays"),
    [
        (image(FILE), True),
        (image(LATER), True),
        (image(FILE, "9", "ephemeral-attachments"), True),
        (image(OLDER), False),  # of an older message
        (image(FILE, "8"), False),  # of another channel
        ({"image": {"url": "https://example.org/a.png"}}, False),
        ({"author": {"name": "x", "icon_url": f"{CDN}/7/{FILE}/a.png"}}, True),
        ({"image": None, "fields": []}, False),
    ],
)
def test_those_that_an_embed_shows(embed, stays):
    assert ids({"embeds": [embed]}) == ([FILE] if image(LATER) != embed else [LATER]) * stays


def test_those_that_a_component_shows():
    media = {"type": 12, "items": [{"media": {"url": f"{CDN}/7/{FILE}/a.png", "attachment_id": FILE}}]}
    assert ids({"components": [{"type": 17, "components": [media]}]}) == [FILE]


@pytest.mark.parametrize(
    ("embeds", "stays"),
    [
        ([], False),
        ([{"title": "other"}], False),
        ([{"image": {"url": "attachment://a.png"}}], True),
        ([{"thumbnail": {"url": f"{CDN}/7/{FILE}/a.png"}}], True),
    ],
)
def test_new_embeds_decide_about_the_files_of_the_old(embeds, stays):
    assert ids({"embeds": [image(FILE)]}, embeds=embeds) == [FILE] * stays


def test_no_more_than_a_message_takes():
    with pytest.raises(InvalidRequestError):
        ids({"attachments": [{"id": FILE + str(number)} for number in range(10)]})

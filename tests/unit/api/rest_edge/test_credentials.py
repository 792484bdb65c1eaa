"""Credentials of HTTP requests: keys in all their forms, bots' tokens, authorizations for Discord."""

import base64

import pytest

from discordproxy_api.rest_edge.credentials import Presented, present

KEY = "dpk_" + "k" * 43
SHAPED = f"MTAwMDAwMDAwMDAwMDAwMDAx.proxy.{KEY}"
TOKEN = "MTAwMDAwMDAwMDAwMDAwMDAx.abcdef.0123456789"


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "authorization",
    [
        f"Bot {KEY}",
        f"bot {KEY}",
        f"Bearer {KEY}",
        basic(f"anyone:{KEY}"),
        KEY,
        f"Bot {SHAPED}",
        f"Bearer {SHAPED}",
        SHAPED,
    ],
)
def test_a_key_is_found(authorization):
    assert present(authorization) == Presented(KEY)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"authorization": ""}, Presented()),
        ({"authorization": "", "proxy_authorization": f"Bearer {KEY}"}, Presented(KEY)),
        ({"authorization": "", "proxy_authorization": basic(f"x:{KEY}")}, Presented(KEY)),
        ({"authorization": "", "key": KEY}, Presented(KEY)),
        ({"authorization": "", "key": SHAPED}, Presented(KEY)),
        ({"authorization": f"Bot {TOKEN}"}, Presented(bot_token=TOKEN)),
        ({"authorization": f"Bot {TOKEN}", "key": KEY}, Presented(KEY, bot_token=TOKEN)),
        ({"authorization": "Bearer oauth2"}, Presented(own="Bearer oauth2")),
        ({"authorization": "bearer oauth2", "key": KEY}, Presented(KEY, own="Bearer oauth2")),
        ({"authorization": basic("id:secret"), "path": "/oauth2/token"}, Presented(own=basic("id:secret"))),
        ({"authorization": basic("id:secret"), "path": "/users/@me"}, Presented(unreadable=True)),
        ({"authorization": "Bot"}, Presented(unreadable=True)),
        ({"authorization": "Bearer a b"}, Presented(unreadable=True)),
        ({"authorization": TOKEN}, Presented(unreadable=True)),
    ],
)
def test_other_credentials(given, expected):
    assert present(**given) == expected


def test_the_repr_hides_everything():
    assert repr(present(f"Bot {TOKEN}", key=KEY)) == "Presented(unreadable=False)"

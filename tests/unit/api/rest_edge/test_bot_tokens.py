"""Holders of a bot's token, among keys and strangers."""

import pytest

from discordproxy_api.access.authenticator import Authenticator, Credentials
from discordproxy_api.access.keys import digest_of, new_key, read_keys
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.rest_edge.bot_tokens import HolderAuthenticator
from unit.api.access.test_keys import Fixed

KEY = new_key()
TOKENS = {"alliance": "a.token.1", "corp": "a.token.2"}
RING = Fixed(read_keys(f'[[keys]]\napp = "srp"\nsha256 = "{digest_of(KEY)}"\nbot = "corp"\n', bots=tuple(TOKENS)))
PEER = "ipv4:192.0.2.1:5"


def authenticator(keys=RING) -> HolderAuthenticator:
    return HolderAuthenticator(Authenticator(keys, Metrics()), TOKENS)


@pytest.mark.parametrize("keys", [RING, None])
@pytest.mark.parametrize(("name", "token"), TOKENS.items())
def test_a_bots_token_selects_its_bot(keys, name, token):
    principal = authenticator(keys).admit(Credentials(f"Bot {token}", "default", PEER))
    assert (principal.app, principal.bot, principal.scopes.unrestricted) == ("bot", name, True)
    assert not principal.status, "the operators' pages are not part of it"
    assert authenticator(keys).admit(Credentials(f"Bot {token}", "shop", PEER)).app == "shop"
    assert authenticator(keys).admit(Credentials(f"Bot {token}", "not a name!", PEER)).app == "bot"


def test_a_key_is_a_key():
    assert authenticator().admit(Credentials(f"Bearer {KEY}", "liar", PEER)).app == "srp"
    assert authenticator(None).admit(Credentials("", "shop", PEER)).app == "shop"


@pytest.mark.parametrize("keys", [RING, None])
@pytest.mark.parametrize("authorization", ["Bot a.token.3", "Bot a.token.1 ", "Bot A.token.1"])
def test_other_tokens_are_refused(keys, authorization):
    with pytest.raises(ApiError, match=r"token of a bot|not a key"):
        authenticator(keys).admit(Credentials(authorization, "default", PEER))


def test_nothing_is_refused_where_keys_are_required():
    with pytest.raises(ApiError, match="requires a key"):
        authenticator().admit(Credentials("", "default", PEER))


def test_other_tokens_count_as_wrong_keys():
    found = authenticator()
    for _ in range(11):
        with pytest.raises(ApiError) as refused:
            found.admit(Credentials("Bot a.token.3", "default", PEER))
    assert refused.value.reason == "LOCKED_OUT"

"""Nonces that no application can occupy for another one."""

import hashlib

from discordproxy_api.calls.call import Call
from discordproxy_api.discord.nonces import Nonces

ONE = Nonces("token-of-a-bot")


def call(app="a", rpc="SendChannelMessage", key=""):
    return Call(rpc, "r", app=app, idempotency_key=key)


def test_all_workers_of_a_bot_make_the_same():
    assert ONE.seed(call(key="k")) == Nonces("token-of-a-bot").seed(call(key="k"))
    assert ONE.seed(call(), "mine") == Nonces("token-of-a-bot").seed(call(), "mine")
    assert ONE.seed(call(key="k")) != Nonces("another").seed(call(key="k"))


def test_application_call_and_key_tell_them_apart():
    keyed = [ONE.seed(call(app, rpc, key)) for app in ("a", "b") for rpc in ("X", "Y") for key in ("1", "2")]
    given = [ONE.seed(call(app), nonce) for app in ("a", "b") for nonce in ("1", "2", "SendChannelMessage\0k")]
    assert len({*keyed, *given, ONE.seed(call()), ONE.seed(call())}) == 16


def test_a_nonce_of_the_callers_own_comes_before_its_key():
    assert ONE.seed(call(key="k"), "mine") == ONE.seed(call(), "mine")


def test_who_does_not_have_the_token_cannot_compute_one():
    public = [b"a SendChannelMessage k", b"key\0a\0SendChannelMessage\0k"]
    assert ONE.seed(call(key="k")) not in [hashlib.sha256(text).hexdigest() for text in public]
    assert "token" not in repr(ONE)

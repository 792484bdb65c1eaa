"""What a session of the gateway depends on: it is resumed only where all of it is the same."""

import pytest

from discordproxy_gateway.discord.session import fingerprint_of


@pytest.mark.parametrize("other", [("u", 1, 1), ("t", 2, 1), ("t", 1, 2), ("t", 1, 1, "ws://127.0.0.1:4099/gateway")])
def test_another_token_intent_division_or_gateway_has_another_session(other: tuple) -> None:
    assert fingerprint_of(*other) != fingerprint_of("t", 1, 1) == fingerprint_of("t", 1, 1, "")

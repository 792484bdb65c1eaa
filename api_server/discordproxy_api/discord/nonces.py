"""Nonces by which Discord recognizes repeated messages; no application can occupy another one's.

Discord answers a known nonce with the first message that had it (enforce_nonce). All applications share the bot, so a
nonce that another application could guess or choose would return that application's message.
"""

import hashlib
import hmac
import os

from discordproxy_api.calls.call import Call

_PURPOSE = b"discordproxy: nonces of messages"


class Nonces:
    """Makes the seeds of nonces, the same in all workers of a bot.

    Args:
        token: the bot's; the key of the seeds is derived from it.
    """

    def __init__(self, token: str) -> None:
        self._secret = hmac.digest(token.encode(), _PURPOSE, "sha256")

    def seed(self, call: Call, given: str = "") -> str:
        """Return the seed of a call's nonces: the same for calls with the same nonce or idempotency key, else random.

        Args:
            call: the call.
            given: the caller's own nonce, which is unique within its application only.
        """
        if given:
            return self._seed("nonce", call.app, given)
        return (
            self._seed("key", call.app, call.rpc, call.idempotency_key)
            if call.idempotency_key
            else os.urandom(16).hex()
        )

    def _seed(self, *parts: str) -> str:
        text = "\0".join(parts).encode("utf-8", "surrogatepass")
        return hmac.new(self._secret, text, hashlib.sha256).hexdigest()

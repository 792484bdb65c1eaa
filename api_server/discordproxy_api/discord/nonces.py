"""The nonces by which Discord recognises a repeated message, made so that no application can occupy another one's.

Discord answers a nonce it knows with the message that came first (enforce_nonce). All applications share the bot, so
whoever could guess or choose a nonce of another one would have his own message passed off as its answer.
"""

import hashlib
import hmac
from secrets import token_hex

from discordproxy_api.calls.call import Call

_PURPOSE = b"discordproxy: nonces of messages"


class Nonces:
    """Makes the seeds of nonces. All workers of a bot make the same.

    Args:
        token: the bot's; seeds are keyed by a secret that only who has it can derive.
    """

    def __init__(self, token: str) -> None:
        self._secret = hmac.digest(token.encode(), _PURPOSE, "sha256")

    def seed(self, call: Call, given: str = "") -> str:
        """Return what the nonces of a call are made of: the same for the same logical call, as far as its caller tells.

        Args:
            call: whose nonces they are.
            given: the caller's own nonce, which is one among its application's only.
        """
        if given:
            return self._seed("nonce", call.app, given)
        return self._seed("key", call.app, call.rpc, call.idempotency_key) if call.idempotency_key else token_hex(16)

    def _seed(self, *parts: str) -> str:
        text = "\0".join(parts).encode("utf-8", "surrogatepass")
        return hmac.new(self._secret, text, hashlib.sha256).hexdigest()

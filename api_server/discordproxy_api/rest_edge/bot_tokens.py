"""Admits holders of a bot's own token, for the HTTP port: they could call Discord anyway."""

import hashlib
import hmac
from collections.abc import Mapping

from discordproxy_api.access.authenticator import Authenticator, Credentials
from discordproxy_api.calls import errors
from discordproxy_api.calls.principal import APP_NAME, DEFAULT_APP, Principal

APP = "bot"
"""Name of callers that authenticate with a bot's token and send no name."""

SCHEME = "Bot "

WAYS = (
    'send a key as "Authorization: Bot <key>" or "Bearer <key>", as "Proxy-Authorization: Bearer <key>" beside an '
    "authorization for Discord, or in the path, /key=<key>/api/v10; or send the token of the bot"
)


class HolderAuthenticator:
    """Maps the credentials of HTTP callers to principals.

    Args:
        inner: authenticates by key.
        tokens: of the bots, by name.
    """

    def __init__(self, inner: Authenticator, tokens: Mapping[str, str]) -> None:
        self._inner = inner
        self._digests = {name: _digest(token) for name, token in tokens.items()}

    @property
    def requires_keys(self) -> bool:
        """Whether callers need a key or a bot's token."""
        return self._inner.requires_keys

    def bot_of(self, token: str) -> str | None:
        """Return the name of the bot whose token this is, None for no token of a bot here. It takes constant time."""
        digest, found = _digest(token), None
        for name, known in self._digests.items():
            if hmac.compare_digest(known, digest):
                found = name
        return found

    def admit(self, shown: Credentials) -> Principal:
        """Return the principal of a caller; `shown.authorization` is "Bearer <key>", "Bot <token>" or "".

        Raises:
            ApiError: UNAUTHENTICATED.
        """
        if not shown.authorization.startswith(SCHEME):
            if self._inner.requires_keys and not shown.authorization:
                raise _refused(f"This proxy requires a key: {WAYS}.")
            return self._inner.admit(shown)
        token = shown.authorization.removeprefix(SCHEME)
        bot = self.bot_of(token)
        if bot is not None:
            is_named = shown.app != DEFAULT_APP and APP_NAME.fullmatch(shown.app)
            return Principal(app=shown.app if is_named else APP, bot=bot, status=False)
        if self._inner.requires_keys:
            self._inner.admit(Credentials(f"Bearer {token}", shown.app, shown.peer))  # it counts as a wrong key
        raise _refused(f"This is not the token of a bot of this proxy, and no key; {WAYS}.")

    def still_admits(self, shown: Credentials, principal: Principal) -> bool:
        """Return whether the credentials still belong to the same principal."""
        return self._inner.still_admits(shown, principal)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def _refused(text: str) -> errors.ApiError:
    return errors.refusal("UNAUTHENTICATED", "UNAUTHENTICATED", text)

"""Who calls: reads the Authorization header. Tokens are compared and hashed, never kept."""

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Literal

from discordproxy_sandbox.errors import unauthorized

CredentialKind = Literal["bot", "bearer", "none"]


@dataclass(frozen=True, slots=True)
class Credential:
    """Whose limits a request counts against: a bot's, an OAuth2 user's, or the address's."""

    kind: CredentialKind
    key: str


@dataclass(slots=True)
class Access:
    """Which bot tokens are good: any, unless `tokens` names them."""

    tokens: set[str] | None = field(default=None, repr=False)

    def credential(self, header: str | None) -> Credential:
        """Return the credential of an Authorization header; raises 401 for a wrong one."""
        if header is None:
            return Credential("none", "address")
        scheme, _, token = header.partition(" ")
        if scheme == "Bearer" and token:
            return Credential("bearer", f"bearer:{_digest(token)}")
        if scheme == "Bot" and self.is_good(token):
            return Credential("bot", self.key_of(token))
        raise unauthorized()

    def key_of(self, token: str) -> str:
        """Return a name for a bot token that does not give it away."""
        return f"bot:{_digest(token)}"

    def is_good(self, token: str) -> bool:
        """Say whether a bot token is accepted."""
        return bool(token) and (self.tokens is None or token in self.tokens)


def _digest(token: str) -> str:
    return blake2b(token.encode(), digest_size=8).hexdigest()

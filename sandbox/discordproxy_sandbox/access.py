"""Authenticates callers by the Authorization header. Tokens are compared and hashed, never stored in records."""

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Literal

from discordproxy_sandbox.errors import unauthorized

CredentialKind = Literal["bot", "bearer", "none"]


@dataclass(frozen=True, slots=True)
class Credential:
    """The owner of the limits that a request counts against: a bot, an OAuth2 user, or the address."""

    kind: CredentialKind
    key: str


@dataclass(slots=True)
class Access:
    """The accepted bot tokens; None accepts any."""

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
        """Return a digest that identifies a bot token."""
        return f"bot:{_digest(token)}"

    def is_good(self, token: str) -> bool:
        """Return whether a bot token is accepted."""
        return bool(token) and (self.tokens is None or token in self.tokens)


def _digest(token: str) -> str:
    return blake2b(token.encode(), digest_size=8).hexdigest()

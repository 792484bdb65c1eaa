"""API keys: format, hashes, entries of the key file, lookup. Pure.

A key is 256 random bits, so it cannot be found by brute force, and a single SHA-256 suffices. A slow password hash
would only let senders of wrong keys consume the worker's CPU time.
"""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime, time
from typing import Annotated, Literal

import tomllib
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from typing_extensions import Self

from discordproxy_api.calls.principal import APP_NAME, Principal
from discordproxy_api.calls.scopes import ALL_COMMANDS, READ, WRITE, Scopes
from discordproxy_api.route_patterns import checked_route
from discordproxy_gateway.events import UnknownEventError, check_types

PREFIX = "dpk_"
"""Prefix of every key, so that people and secret scanners recognize it."""

FORM = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")
NAME_LENGTH = 8

AppName = Annotated[str, Field(pattern=f"^{APP_NAME.pattern}$")]
Snowflake = Annotated[int, Field(ge=1, lt=1 << 64)]
CommandName = Annotated[str, Field(min_length=1, max_length=32)]
Route = Annotated[str, AfterValidator(checked_route)]


class KeyFileError(ValueError):
    """A key file cannot be used; the text names the entry, the problem and the fix."""


class KeyEntry(BaseModel):
    """One table `[[keys]]` of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    app: AppName
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    certificate: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    rpcs: tuple[str, ...] | None = None
    requests: tuple[Route, ...] | None = None
    guilds: frozenset[Snowflake] = frozenset()
    channels: frozenset[Snowflake] = frozenset()
    direct_messages: bool | None = None
    authorization: bool | None = None
    events: frozenset[str] | None = None
    commands: Literal["own"] | tuple[CommandName, ...] | None = None
    priority: Literal["low", "normal", "high"] = "high"
    share: Annotated[float, Field(ge=0.01, le=100)] = 1.0
    calls_per_s: Annotated[float, Field(ge=0.01, le=10_000)] | None = None
    bot: str = ""
    status: bool | None = None
    expires: datetime | date | None = None

    @field_validator("guilds", "channels")
    @classmethod
    def _not_empty(cls, value: frozenset[int]) -> frozenset[int]:
        if not value:
            raise ValueError("an empty list would allow everything; to allow everything, leave it out")
        return value

    @model_validator(mode="after")
    def _one_credential(self) -> Self:
        if (self.sha256 is None) == (self.certificate is None):
            raise ValueError("either sha256 (printed by `discordproxy keys new`) or certificate is required")
        return self

    @property
    def principal(self) -> Principal:
        """The principal that the entry describes."""
        scopes = Scopes(
            rpcs=self.rpcs,
            requests=self.requests,
            guilds=self.guilds,
            channels=self.channels,
            direct_messages=self.direct_messages,
            authorization=self.authorization,
            events=self.events,
            commands=ALL_COMMANDS if self.commands == "own" else self.commands,
            priority=self.priority,
        )
        return Principal(
            app=self.app,
            key=self.sha256[:NAME_LENGTH] if self.sha256 else f"certificate:{self.certificate}",
            scopes=scopes,
            share=self.share,
            calls_per_s=self.calls_per_s,
            bot=self.bot,
            status=scopes.unlimited if self.status is None else self.status,
            expires_at=_instant(self.expires),
        )


class KeyFile(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    keys: tuple[KeyEntry, ...] = ()


class KeyRing:
    """The current keys. The repr does not show them."""

    def __init__(self, entries: Iterable[KeyEntry]) -> None:
        self._by_start: dict[str, list[tuple[str, Principal]]] = {}
        self._by_certificate: dict[str, Principal] = {}
        for entry in entries:
            if entry.sha256:
                start = entry.sha256[:NAME_LENGTH]
                self._by_start.setdefault(start, []).append((entry.sha256, entry.principal))
            elif entry.certificate:
                self._by_certificate[entry.certificate] = entry.principal

    @property
    def principals(self) -> list[Principal]:
        """The principals of all keys and certificates."""
        return [*(each for held in self._by_start.values() for _, each in held), *self._by_certificate.values()]

    def holder_of(self, key: str) -> Principal | None:
        """Return the principal of a key. Hashes are compared in constant time."""
        found = None
        digest = digest_of(key)
        for known, principal in self._by_start.get(digest[:NAME_LENGTH], ()):
            if hmac.compare_digest(known, digest):
                found = principal
        return found

    def holder_of_certificate(self, names: Iterable[str]) -> Principal | None:
        """Return the principal of a certificate with one of these names."""
        return next((found for name in names if (found := self._by_certificate.get(name))), None)


def new_key() -> str:
    """Return a new random key."""
    return PREFIX + secrets.token_urlsafe(32)


def token_shaped(key: str, bot_id: int) -> str:
    """Return a key in the shape of a bot's token, whose first part is the bot's id; the last part is the key."""
    first = base64.urlsafe_b64encode(str(bot_id).encode()).decode().rstrip("=")
    return f"{first}.proxy.{key}"


def digest_of(key: str) -> str:
    """Return the hash of a key, as in the key file."""
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def read_keys(text: str, *, rpcs: Collection[str] = (), bots: Collection[str] | None = ()) -> KeyRing:
    """Return the keys of a file's text.

    Args:
        text: TOML.
        rpcs: names of all RPCs; a pattern that matches none is an error.
        bots: names of the bots, if there are several; None if unknown.

    Raises:
        KeyFileError: it is invalid.
    """
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # very long numbers and deep nesting raise these
        raise KeyFileError(f"is not valid TOML: {error}") from None
    try:
        entries = KeyFile.model_validate(table).keys
    except ValidationError as error:
        raise KeyFileError(_first(error)) from None
    for number, entry in enumerate(entries, 1):
        if problem := _problem(entry, rpcs, bots):
            raise KeyFileError(f"key {number} ({entry.app}): {problem}")
    seen = [entry.sha256 or entry.certificate for entry in entries]
    if twice := next((entry for entry in entries if seen.count(entry.sha256 or entry.certificate) > 1), None):
        raise KeyFileError(f"two entries hold the same key ({twice.principal.key}); remove one")
    return KeyRing(entries)


def _problem(entry: KeyEntry, rpcs: Collection[str], bots: Collection[str] | None) -> str:
    for pattern in entry.rpcs or ():
        single = Scopes(rpcs=(pattern,))
        if rpcs and pattern not in {READ, WRITE} and not any(single.allows_rpc(name, reads=True) for name in rpcs):
            return f"rpcs: {pattern!r} matches no RPC; give names such as SendChannelMessage, patterns, read or write"
    try:
        check_types(entry.events or (), ())
    except UnknownEventError as error:
        return f"events: {error}"
    if bots is not None and entry.bot and entry.bot not in bots:
        known = f"; it has {', '.join(bots)}" if bots else ""
        return f"bot: {entry.bot!r} is not in the file of DISCORDPROXY_BOTS{known}"
    return ""


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = [str(part + 1) if isinstance(part, int) else str(part) for part in first["loc"]]
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        message = f"unknown setting; known settings are {', '.join(KeyEntry.model_fields)}"
    return f"{' '.join(where).replace('keys ', 'key ', 1)}: {message}"


def _instant(value: datetime | date | None) -> datetime | None:
    if value is None:
        return None
    instant = value if isinstance(value, datetime) else datetime.combine(value, time())
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)

"""Settings of all processes. An invalid setting is reported in one line.

Only `__main__` modules and the supervisor read settings; other modules receive plain values.
"""

import difflib
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from dotenv import dotenv_values
from dotenv.parser import parse_stream
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PrivateAttr,
    SecretStr,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError, PydanticUndefined
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError
from typing_extensions import Self

from discordproxy_ratelimit.process.bot_config import BotConfig, check_token, read_bots, read_token, trimmed
from discordproxy_ratelimit.process.exit_status import USAGE
from discordproxy_ratelimit.process.redaction import Redaction
from discordproxy_ratelimit.process.streams import complain
from discordproxy_ratelimit.redis import url as redis_url

PREFIX = "DISCORDPROXY_"

_redacted = Redaction()

CLIENT_VARIABLES = frozenset(
    PREFIX + name
    for name in ("TARGET", "APP", "API_KEY", "CA", "CERT", "CERT_KEY", "WORKER", "NGINX_CONF", "NGINX_PAUSE")
)
"""Variables with our prefix that are no settings of a server: those of clients, of the supervisor, of deploy/."""

_SERVICE_LINK = re.compile(r"(tcp|udp|sctp)://\S+:\d+")
"""Value of the variables that Kubernetes sets for each service; a service `discordproxy` has DISCORDPROXY_PORT."""
_SERVICE_VARIABLE = re.compile(r"_SERVICE_(HOST|PORT)(_\w+)?$|_PORT_\d+_(TCP|UDP|SCTP)(_\w+)?$")

_UNPARSED = re.compile(r'error parsing value for field "(\w+)"')
"""Text of a SettingsError."""

TOKEN_MISSING = "token_missing"  # noqa: S105 - the kind of an error

DOTENV = ".env"
_OURS = re.compile(r"\s*(?:export\s+)?(DISCORD(?:PROXY)?_\w+)")
"""Begin of a line of `.env` that is for this server; other lines may be for other programs."""


_SECRETS = ("DISCORD_BOT_TOKEN", f"{PREFIX}REDIS_URL")


class InvalidSettingsError(Exception):
    """The settings cannot be used; the text is one line without secrets.

    `token_missing`: they only lack a bot token.
    """

    def __init__(self, text: str, *, token_missing: bool = False) -> None:
        super().__init__(text)
        self.token_missing = token_missing


def _checked_redis_url(url: SecretStr) -> SecretStr:
    if url.get_secret_value():
        redis_url.check(url.get_secret_value())
    return url


def _web_url(*schemes: str, plain: bool = False) -> AfterValidator:
    """Return the check of a URL; a plain one has neither credentials nor a query, which no request would carry."""

    def check(url: str) -> str:
        parts = urlsplit(url)
        if url and (parts.scheme not in schemes or not parts.hostname):
            raise ValueError(f"a URL starting with {' or '.join(f'{scheme}://' for scheme in schemes)} is needed")
        _ = parts.port  # raises ValueError if it is out of range
        if plain and (parts.query or parts.fragment or "@" in parts.netloc):
            raise ValueError("a URL without user, query and fragment is needed")
        return url.rstrip("/")

    return AfterValidator(check)


def _level(value: Any) -> Any:
    return {"WARN": "WARNING"}.get(value.upper(), value.upper()) if isinstance(value, str) else value


LogLevel = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(_level)]


def world_of(url: str) -> str:
    """Return a short name of the Discord whose API is at `url`, empty for discord.com.

    A sandbox has other channels and limits than Discord, even for the same bot token.
    """
    parts = urlsplit(url.lower())
    if re.fullmatch(r"(.+\.)?discord(app)?\.com", parts.hostname or ""):
        return ""
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    base = f"{parts.hostname}:{port}{re.sub(r'/v[0-9]+$', '', parts.path)}"  # all versions have the same limits
    return hashlib.sha256(base.encode()).hexdigest()[:8]


class SharedSettings(BaseSettings):
    """Settings of the broker, the gateway and the API workers.

    Sources, the first wins: constructor arguments, environment, the file `.env` in the current folder. White space
    around a value is ignored, and an empty variable counts as unset. `token` is the only way to the bot token.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=DOTENV,
        env_file_encoding="utf-8-sig",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    discord_bot_token: SecretStr = Field(
        SecretStr(""),
        validation_alias="DISCORD_BOT_TOKEN",
        description="token of the Discord bot; keep it secret",
    )
    token_file: Path | None = Field(
        None, description="file that holds the bot token, read when DISCORD_BOT_TOKEN is unset"
    )
    bots: Path | None = Field(
        None,
        description="TOML file of several bots and their tokens, instead of DISCORD_BOT_TOKEN; keys select one",
    )
    bot: str = Field(
        "", description="which of several bots this gateway worker connects; the launcher sets it; unset: the first"
    )
    discord_url: Annotated[str, _web_url("https", "http", plain=True)] = Field(
        "https://discord.com/api/v10", description="base of Discord's REST API, version included"
    )
    gateway_url: Annotated[str, _web_url("wss", "ws")] = Field(
        "", description="URL of Discord's gateway; unset: read from Discord"
    )
    redis_url: Annotated[SecretStr, AfterValidator(_checked_redis_url)] = Field(
        SecretStr(""),
        description="URL of the Redis or Valkey server that all workers share; unset: a private Valkey on this machine",
    )
    key_prefix: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,40}$")] = Field(
        "dp", description="first part of every key in Redis, so that several deployments can share a server"
    )
    global_limit: Annotated[int, Field(ge=1, le=10_000_000)] = Field(
        50, description="Discord's global rate limit of the bot, requests per second; higher for large bots"
    )
    egress: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,40}$")] = Field(
        "default",
        description="name of this machine's public IP address; machines with the same name share its limit of invalid "
        "requests",
    )
    log_level: LogLevel = Field(
        "INFO", description="lowest level that is logged: DEBUG, INFO, WARNING, ERROR, CRITICAL"
    )
    log_format: Literal["human", "json"] = Field(
        "human", description="format of log lines: human, or json for one object per line"
    )

    _all_bots: tuple[BotConfig, ...] = PrivateAttr(())

    @model_validator(mode="before")
    @classmethod
    def _given(cls, values: Any) -> Any:
        """Return the values without white space around them, empty ones, and those that Kubernetes sets for a service.

        Secrets of Kubernetes and files with CRLF add a line break to a value.
        """
        _refuse_broken_lines()
        if not isinstance(values, dict):
            return values
        stripped = {name: value.strip() if isinstance(value, str) else value for name, value in values.items()}
        return {name: value for name, value in stripped.items() if value != "" and not _is_service_link(name, value)}

    @model_validator(mode="after")
    def _find_bots(self) -> Self:
        text = trimmed(self.discord_bot_token.get_secret_value())
        variable = "DISCORD_BOT_TOKEN"
        if not text and self.token_file:
            text, variable = read_token(self.token_file, PREFIX + "TOKEN_FILE"), PREFIX + "TOKEN_FILE"
        if self.bots:
            self._all_bots = self._several(text, variable, self.bots)
            return self
        if not text:
            raise PydanticCustomError(
                TOKEN_MISSING,
                "DISCORD_BOT_TOKEN is not set; set it (or DISCORDPROXY_TOKEN_FILE) to the token from the bot's page "
                "of https://discord.com/developers/applications",
            )
        check_token(text, variable)
        if self.bot:
            raise ValueError("DISCORDPROXY_BOT names one of several bots, but DISCORDPROXY_BOTS is not set")
        self._all_bots = (BotConfig("", SecretStr(text)),)
        return self

    def _several(self, text: str, variable: str, path: Path) -> tuple[BotConfig, ...]:
        if text:
            raise ValueError(f"{variable} and DISCORDPROXY_BOTS are both set; put that bot into the file, too")
        bots = read_bots(path)
        names = [bot.name for bot in bots]
        if self.bot not in ("", *names):
            raise ValueError(f"DISCORDPROXY_BOT is {self.bot!r}; DISCORDPROXY_BOTS has {', '.join(names)}")
        return bots

    @property
    def all_bots(self) -> tuple[BotConfig, ...]:
        """All bots of this deployment; several bots have names."""
        return self._all_bots

    @property
    def chosen(self) -> BotConfig:
        """The bot of this process: the one DISCORDPROXY_BOT names, or the first."""
        return next((bot for bot in self._all_bots if bot.name == self.bot), self._all_bots[0])

    @property
    def token(self) -> SecretStr:
        """The chosen bot's token, without surrounding white space."""
        return self.chosen.token

    @property
    def home_token(self) -> SecretStr:
        """The first bot's token, from which all processes derive the folder of the private server."""
        return self._all_bots[0].token

    @property
    def namespace(self) -> str:
        """First part of every key in Redis: `key_prefix`, and the name of a Discord other than discord.com."""
        world = world_of(self.discord_url)
        return f"{self.key_prefix}:{world}" if world else self.key_prefix

    @property
    def secrets(self) -> tuple[str, ...]:
        """All secrets of the settings, for redaction: tokens, URLs with a password, the passwords, other secrets."""
        tokens = [bot.token.get_secret_value() for bot in self._all_bots]
        values = [value.get_secret_value() for _, value in self if isinstance(value, SecretStr)]
        return (*tokens, *(secret for value in values for secret in _secrets_in(value) if secret))

    @property
    def bot_id(self) -> str:
        """The chosen bot's name in keys of Redis; see `BotConfig.id`."""
        return self.chosen.id


def _secrets_in(text: str) -> tuple[str, ...]:
    """Return a secret, or for a URL the whole and its passwords; none if it has no password."""
    if "://" not in text:
        return (text,)
    parts = urlsplit(text)
    given = [parts.password, *(value for name, value in parse_qsl(parts.query) if "password" in name)]
    passwords = [unquote(password) for password in given if password]
    return (text, *passwords) if passwords else ()


Settings = TypeVar("Settings", bound=SharedSettings)


def read(kind: type[Settings]) -> Settings:
    """Read the settings of `kind`.

    Raises:
        InvalidSettingsError: a setting is invalid, or `.env` cannot be read.
    """
    try:
        return kind()
    except ValidationError as error:
        token_missing = error.errors(include_url=False)[0]["type"] == TOKEN_MISSING
        raise InvalidSettingsError(_explain(error, kind), token_missing=token_missing) from None
    except SettingsError as error:
        raise InvalidSettingsError(_explain_unparsed(error, kind)) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise InvalidSettingsError(f"the settings cannot be read ({reason}); check {Path(DOTENV).absolute()}") from None


def load(kind: type[Settings]) -> Settings:
    """Read the settings of `kind`; an invalid one ends the process with one line on stderr and status 2."""
    try:
        return read(kind)
    except InvalidSettingsError as error:
        complain(f"ERROR: {error}")  # logging is not set up yet
    raise SystemExit(USAGE)


def keep_dotenv() -> None:
    """Copy this server's lines of `.env` into the environment, for processes that start after the file has changed.

    Secrets stay in the file: the environment of an executed process can be read in `/proc`.
    """
    for name, value in dotenv_values(DOTENV, encoding="utf-8-sig").items():
        if name not in _SECRETS and _OURS.match(name) and value and not os.environ.get(name):
            os.environ[name] = value


def _refuse_broken_lines() -> None:
    """Raise ValueError if `.env` has a line for this server that cannot be read; the library skips such lines."""
    path = Path(DOTENV)
    if not path.is_file():
        return
    with path.open(encoding="utf-8-sig") as lines:
        for each in parse_stream(lines):
            ours = _OURS.match(each.original.string)
            if ours and (each.error or each.value is None):
                raise ValueError(
                    f"{path.absolute()}, line {each.original.line}: {ours[1]} cannot be read; write {ours[1]}='value', "
                    "with both quotes and nothing after them"
                )


def _is_service_link(name: str, value: Any) -> bool:
    return name.endswith("port") and isinstance(value, str) and bool(_SERVICE_LINK.fullmatch(value))


def _explain_unparsed(error: SettingsError, kind: type[BaseSettings]) -> str:
    """Return one line about a list that is no JSON; the library's text names the field, its cause quotes the value."""
    found = _UNPARSED.search(str(error))
    field = kind.model_fields.get(found[1]) if found else None
    if not found or field is None:
        return f"the settings cannot be read ({type(error).__name__}); check {DOTENV}"
    return f'{PREFIX}{found[1].upper()}: must be JSON, such as ["one", "two"]; meaning: {field.description}'


def unknown_variables(*kinds: type[BaseSettings]) -> Iterator[str]:
    """Yield a line for each variable with our prefix, in the environment or `.env`, that is none of these settings."""
    if Path(DOTENV).is_dir() and not Path(DOTENV, "pyvenv.cfg").exists():  # as Docker makes for a missing file
        yield f"{Path(DOTENV).absolute()} is a folder, so no settings are read from it; write a file"
    names = [name.upper() for kind in kinds for name in kind.model_fields]
    known = CLIENT_VARIABLES.union(PREFIX + name for name in names)
    try:
        file = dotenv_values(DOTENV, encoding="utf-8-sig", interpolate=False)
    except (OSError, ValueError):  # reported when the settings are read
        file = {}
    for name, value in sorted({**file, **os.environ}.items()):
        if name.startswith(PREFIX) and name not in known and not _is_service_variable(name, value):
            nearest = difflib.get_close_matches(name.removeprefix(PREFIX), names, n=1)
            yield f"{name} is not a setting and has no effect" + "".join(
                f"; did you mean {PREFIX}{each}?" for each in nearest
            )


def _is_service_variable(name: str, value: str | None) -> bool:
    return bool(_SERVICE_VARIABLE.search(name) or _SERVICE_LINK.fullmatch(value or ""))


def _explain(error: ValidationError, kind: type[BaseSettings]) -> str:
    """Return one line: the variable, its problem, the fix. It contains no values of secrets."""
    first, *others = error.errors(include_url=False, include_context=False)
    message = first["msg"].removeprefix("Value error, ")
    rest = f" (and {len(others)} more)" if others else ""
    field = kind.model_fields.get(str(first["loc"][0])) if first["loc"] else None
    if field is None:  # of several fields or an aliased one; its text names the variable
        return " ".join(message.split()) + rest
    secret = "SecretStr" in str(field.annotation)
    value = "" if secret else f" is {_redacted(str(first['input'])[:80])!r}"
    has_default = field.default not in ("", None, PydanticUndefined) and not secret
    default = f" (default: {field.default})" if has_default else ""
    variable = f"{PREFIX}{str(first['loc'][0]).upper()}"
    return " ".join(f"{variable}{value}: {message}; meaning: {field.description}{default}{rest}".split())

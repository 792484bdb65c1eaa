"""The bots of a deployment: one from a variable or a token file, or several from a TOML file."""

import base64
import binascii
import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tomllib
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

BOTS = "DISCORDPROXY_BOTS"


@dataclass(frozen=True, slots=True)
class BotConfig:
    """One bot.

    Attributes:
        name: used by keys and processes; empty in a deployment of one bot.
        intents: of its gateway connection; None = the setting of all bots.
        global_limit: its requests per second; None = the setting of all bots.
    """

    name: str
    token: SecretStr = field(repr=False)
    intents: tuple[str, ...] | None = None
    global_limit: int | None = None

    @property
    def id(self) -> str:
        """Its name in keys of Redis: the user id in the token, or a hash of the token."""
        return bot_id_of(self.token.get_secret_value())


class BotEntry(BaseModel):
    """One table `[[bots]]` of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,32}$")]
    token: SecretStr = SecretStr("")
    token_file: Path | None = None
    intents: tuple[str, ...] | None = None
    global_limit: Annotated[int, Field(ge=1, le=10_000_000)] | None = None


class File(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    bots: Annotated[tuple[BotEntry, ...], Field(min_length=1)]


def read_bots(path: Path) -> tuple[BotConfig, ...]:
    """Return the bots of a file, in its order.

    Raises:
        ValueError: the file is invalid; the text is one line without secrets.
    """
    where = f"{BOTS}: {str(path)!r}"
    try:
        entries = File.model_validate(tomllib.loads(path.read_text("utf-8-sig"))).bots
    except OSError as error:
        raise ValueError(f"{where} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ValueError(f"{where} is not a text file") from None
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{where} is not valid TOML: {error}") from None
    except ValidationError as error:
        raise ValueError(f"{where}: {_first(error)}") from None
    bots = tuple(_bot(entry, path.parent, where) for entry in entries)
    for attribute, what in (("name", "name"), ("id", "token")):
        values = [getattr(bot, attribute) for bot in bots]
        twice = next((bot.name for bot in bots if values.count(getattr(bot, attribute)) > 1), None)
        if twice:
            raise ValueError(f"{where}: two bots have the same {what} ({twice}); each needs its own")
    return bots


def bot_id_of(token: str) -> str:
    """Return the user id that the first part of `token` encodes, or 16 hex digits of the token's SHA-256."""
    first = token.partition(".")[0]
    try:
        decoded = base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        decoded = ""
    return decoded if decoded.isdigit() else hashlib.sha256(token.encode()).hexdigest()[:16]


def read_token(path: Path, variable: str) -> str:
    """Return the token in a file; raises ValueError."""
    try:
        return trimmed(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        raise ValueError(
            f"{variable}: cannot read {str(path)!r} ({reason}); it must hold the bot token and nothing else"
        ) from None


def trimmed(token: str) -> str:
    """Return a token without surrounding blanks, line breaks and byte order mark."""
    return token.strip().strip("\ufeff").strip()


def check_token(token: str, variable: str) -> None:
    """Raise ValueError if `token` is not a valid bot token."""
    if token.lower().startswith(("bot ", "bearer ")):
        raise ValueError(f"{variable}: holds more than the token; leave out the word in front of it")
    name, sign, rest = token.partition("=")
    if rest and name.isidentifier():  # a token has = at its end at most
        raise ValueError(f"{variable}: holds more than the token; leave out {name}{sign}")
    if not token.isascii() or not token.isprintable() or any(c in " '\"" for c in token):
        raise ValueError(f"{variable}: has characters no bot token has; copy it again, without quotes or line breaks")


def _bot(entry: BotEntry, folder: Path, where: str) -> BotConfig:
    of = f"{where}: bot {entry.name}"
    token = trimmed(entry.token.get_secret_value())
    if bool(token) == (entry.token_file is not None):
        raise ValueError(f"{of} needs either token or token_file")
    if entry.token_file is not None:
        token = read_token(folder / entry.token_file, of)
    if not token:
        raise ValueError(f"{of}: the token is empty")
    check_token(token, of)
    return BotConfig(entry.name, SecretStr(token), entry.intents, entry.global_limit)


def _first(error: ValidationError) -> str:
    first: Any = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if first["type"] == "extra_forbidden":
        return f"{first['loc'][-1]} is no setting of a bot; known are {', '.join(BotEntry.model_fields)}"
    where = [str(part + 1) if isinstance(part, int) else str(part) for part in first["loc"]]
    return f"{' '.join(where).replace('bots ', 'bot ', 1)}: {first['msg']}"

"""The reference of settings."""

import json
from datetime import date, datetime
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import NoDecode

from discordproxy_api.settings import ApiSettings
from discordproxy_gateway.settings import GatewaySettings
from discordproxy_ratelimit.settings import PREFIX, SharedSettings
from markup import cell, table

SECTIONS = (("All processes", SharedSettings), ("API workers", ApiSettings), ("Gateway worker", GatewaySettings))
CLIENT = (
    ("DISCORDPROXY_TARGET", "`localhost:50051`", "address of the proxy, or several separated by commas"),
    ("DISCORDPROXY_API_KEY", "", "API key"),
    ("DISCORDPROXY_APP", "the calling package", "name of the application; `off` for none"),
    ("DISCORDPROXY_CA", "", "file of CA certificates; enables TLS"),
    ("DISCORDPROXY_CERT", "", "file of a client certificate"),
    ("DISCORDPROXY_CERT_KEY", "", "file of its key"),
)
"""Environment variables of the Python client and the commands."""


_INTRODUCTION = """\
# Settings

Generated from the settings classes. The environment overrides the `.env` file in the current folder. An invalid setting
is reported in one line, with exit status 2.
"""


def pages() -> dict[str, str]:
    """Return the page by its path below the folder of the documentation."""
    parts = [_INTRODUCTION]
    seen: set[str] = set()
    for title, kind in SECTIONS:
        rows = [_row(name, field) for name, field in kind.model_fields.items() if name not in seen]
        seen |= set(kind.model_fields)
        parts += [f"## {title}\n", table(("variable", "values", "default", "meaning"), rows)]
    parts.append(
        "`HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` (an HTTP proxy to Discord) are read from the environment only.\n"
    )
    client = [(f"`{name}`", shown, meaning) for name, shown, meaning in CLIENT]
    parts += ["## Python client and commands\n", table(("variable", "default", "meaning"), client)]
    return {"reference/settings.md": "\n".join(parts)}


def variable(name: str, field: FieldInfo) -> str:
    """Return the environment variable of a setting."""
    return str(field.validation_alias or PREFIX + name.upper())


def _row(name: str, field: FieldInfo) -> tuple[str, str, str, str]:
    shown = default(field)
    quoted = f"`{shown}`" if shown else ""
    return f"`{variable(name, field)}`", cell(values(field)), quoted, cell(field.description or "")


def default(field: FieldInfo) -> str:
    """Return the default of a setting as an environment variable has it."""
    value: Any = None if field.default_factory else field.default
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(value) if NoDecode in field.metadata else json.dumps(value)
    if isinstance(value, Enum):
        return str(value.value)
    return "" if value is None else str(value)


def values(field: FieldInfo) -> str:
    """Return the permitted values: choices, or type and bounds."""
    return _kind(field.annotation, list(field.metadata))


def _kind(annotation: Any, metadata: list[Any]) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(arguments[0], [*metadata, *arguments[1:]])
    if origin in {Union, UnionType}:
        kinds = [_kind(each, metadata) for each in arguments if each is not NoneType]
        return " or ".join(dict.fromkeys(kinds))
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in {tuple, frozenset}:
        return f"list: {_kind(arguments[0], [])}"
    return " ".join(filter(None, [_NAMES.get(annotation, "text"), _bounds(metadata)]))


_NAMES = {bool: "true, false", int: "integer", float: "number", datetime: "time", date: "date"}


def _bounds(metadata: list[Any]) -> str:
    flat = [inner for each in metadata for inner in getattr(each, "metadata", [each])]
    return ", ".join(
        f"{sign} {getattr(each, bound)}"
        for sign, bound in (("≥", "ge"), (">", "gt"), ("≤", "le"), ("<", "lt"))
        for each in flat
        if getattr(each, bound, None) is not None
    )

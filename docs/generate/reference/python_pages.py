"""The reference of the Python package, from signatures and docstrings."""

import importlib
import inspect
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import discordproxy
from markup import anchor, heading

TITLES = {
    "client": "DiscordClient",
    "aio": "AsyncDiscordClient",
    "exceptions": "Exceptions",
    "builders": "Components, mentions, polls",
    "snowflakes": "IDs, times and links",
    "overflow": "Splitting of texts",
    "helpers": "Error details of gRPC",
    "testing": "Testing",
}
"""Titles of the pages of public modules; others have the module's name."""

_SECTIONS = {"Args": "Arguments", "Returns": "Returns", "Raises": "Raises", "Attributes": "Attributes"}
_SECTIONS |= {"Yields": "Yields", "Example": "Example", "Examples": "Examples", "Note": "Note"}


def pages() -> dict[str, str]:
    """Return the pages by path below the folder of the documentation."""
    found = {f"reference/python/{name}.md": _page(name, TITLES.get(name, name)) for name in modules()}
    found["reference/python/arguments.md"] = _arguments()
    return found


def modules() -> list[str]:
    """Return the public modules of the package."""
    package = Path(discordproxy.__file__).parent
    names = (path.stem for path in package.glob("[a-z]*.py") if "_pb2" not in path.name)
    return sorted(names, key=lambda name: (name not in TITLES, list(TITLES).index(name) if name in TITLES else 0, name))


def public_names(module: ModuleType) -> list[str]:
    """Return the names that a module defines for its users; imported names belong to their own module's page."""
    return sorted(
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == module.__name__
    )


def methods_of(kind: type) -> dict[str, Any]:
    """Return the public methods and properties of a class, those of its bases in the project included."""
    found: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        if base.__module__.startswith("discordproxy"):
            found |= {name: value for name, value in vars(base).items() if _is_member(name, value)}
    return dict(sorted(found.items()))


def _is_member(name: str, value: Any) -> bool:
    kinds = (property, staticmethod, classmethod)
    return not name.startswith("_") and (inspect.isfunction(value) or isinstance(value, kinds))


def _page(name: str, title: str) -> str:
    module = importlib.import_module(f"discordproxy.{name}")
    parts = [f"# {title}\n", f"`discordproxy.{name}`: {docstring(module)}\n"]
    if name == "client":
        parts.append("Every call also accepts the [arguments of all calls](arguments.md).\n")
    for each in public_names(module):
        value = getattr(module, each)
        parts.append(_class(each, value) if inspect.isclass(value) else _function(each, value, 2))
    return "\n".join(parts)


def _arguments() -> str:
    """Return the page of the arguments that many methods share."""
    module = importlib.import_module("discordproxy._requests.arguments")
    parts = ["# Arguments of calls\n", "Keyword arguments that many methods of the clients accept.\n"]
    for name, value in vars(module).items():
        if inspect.isclass(value) and hasattr(value, "__total__"):
            parts.append(_class(name, value))
    return "\n".join(parts)


def _class(name: str, kind: type) -> str:
    parts = [heading(2, f"class {name}", name)]
    if "__init__" in {name for base in kind.__mro__[:-1] for name in vars(base)}:
        parts.append(_code(f"{name}{_signature(kind)}"))
    parts.append((_keys(kind) if hasattr(kind, "__total__") else docstring(kind)) + "\n")
    for each, value in methods_of(kind).items():
        parts.append(_member(each, value))
    return "\n".join(parts)


def _keys(kind: type) -> str:
    """Return the docstring of a TypedDict, whose lines describe its keys, as a list."""
    lines = (inspect.getdoc(kind) or "").splitlines()
    return "\n".join(re.sub(r"^(\w+): ", r"- `\1`: ", line).replace("    ", "  ", 1) for line in lines)


def _member(name: str, value: Any) -> str:
    if isinstance(value, property):
        return "\n".join([heading(3, name, name), docstring(value) + "\n"])
    return _function(name, getattr(value, "__func__", value), 3)


def _function(name: str, function: Any, level: int) -> str:
    prefix = "async " if inspect.iscoroutinefunction(function) else ""
    signature = _code(f"{prefix}{name}{_signature(function)}")
    return "\n".join([heading(level, name, name), signature, docstring(function) + "\n"])


def _signature(value: Any) -> str:
    try:
        signature = inspect.signature(value)
    except (ValueError, TypeError):
        return "()"
    parameters = [each for each in signature.parameters.values() if each.name != "self"]
    text = str(signature.replace(parameters=parameters))
    return _broken(re.sub(r"(: |-> )'([^']*)'", r"\1\2", text))


def _broken(signature: str) -> str:
    """Return a signature with one argument a line if it is long."""
    signature = re.sub(r"<[\w.]+\.(\w+) object at \w+>", r"\1", signature)
    signature = signature.replace("<UNSET>", "UNSET")
    if len(signature) <= 80:  # noqa: PLR2004 - a line of code on a page
        return signature
    inside, _, result = signature.removeprefix("(").rpartition(")")
    lines = re.split(r", (?=\*{0,2}\w+(?::|=|,|$)|\*,)", inside)
    return "(\n" + "".join(f"    {line},\n" for line in lines) + f"){result}"


def _code(text: str) -> str:
    return f"```py\n{text}\n```\n"


def docstring(value: Any) -> str:
    """Return a docstring in Google's style as Markdown."""
    lines = (inspect.getdoc(value) or "").splitlines()
    found, section = [], ""
    for line in lines:
        if (name := line.removesuffix(":")) in _SECTIONS and line.endswith(":"):
            section = name
            found.append(f"\n**{_SECTIONS[name]}**\n")
        elif section and line.startswith("    ") and not line.startswith("        "):
            found.append(_item(line.strip(), section))
        elif section and line.startswith("        "):
            found.append(f"  {line.strip()}")
        else:
            section = section if not line.strip() else ""
            found.append(line)
    return "\n".join(found)


def _item(line: str, section: str) -> str:
    name, separator, text = line.partition(": ")
    if section in {"Args", "Attributes", "Raises"} and separator and re.fullmatch(r"[\w.,* ]+", name):
        return f"- `{name}`: {text}"
    return line


def anchors() -> set[str]:
    """Return the names that the page of the client documents."""
    module = importlib.import_module("discordproxy.client")
    return {anchor(name) for name in methods_of(module.DiscordClient)}

"""Helpers for all requests that write a message."""

from collections.abc import Iterator
from typing import Any

import orjson

from discordproxy.messages_pb2 import OVERFLOW_ERROR, Message
from discordproxy_api.contract.overflow import units
from discordproxy_api.contract.rules.limits import CONTENT

COMPONENTS_V2 = Message.IS_COMPONENTS_V2
FIRST_V2_TYPE = 9


def has(request: Any, name: str) -> bool:
    """Return whether the request's type has the field."""
    return name in request.DESCRIPTOR.fields_by_name


def edits(request: Any) -> bool:
    """Return whether the request edits a message."""
    return has(request, "clear")


def embeds_of(request: Any) -> list[Any]:
    """Return all embeds in order; the single embed of 1.5.1 comes first."""
    first = [request.embed] if has(request, "embed") and request.HasField("embed") else []
    return [*first, *request.embeds]


def overflows(request: Any) -> bool:
    """Return whether the overflow policy of the request applies to its content.

    Discord does not document whether it counts code points or UTF-16 units; UTF-16 units are the safe choice.
    """
    return has(request, "overflow") and request.overflow != OVERFLOW_ERROR and units(request.content) > CONTENT


def raw_components(request: Any) -> list[Any]:
    """Return the components given as JSON.

    Raises:
        ValueError: the text is no JSON array of objects.
    """
    if not request.components_json:
        return []
    components = orjson.loads(request.components_json)
    if not isinstance(components, list) or not all(isinstance(each, dict) for each in components):
        raise ValueError("not an array of objects")
    return components


def component_tree(components: Any) -> Iterator[tuple[str, Any]]:
    """Yield every component with its path, including nested ones, parents first."""
    for index, component in enumerate(components):
        yield from _branch(f"components[{index}]", component)


def _branch(path: str, component: Any) -> Iterator[tuple[str, Any]]:
    yield path, component
    for index, child in enumerate(component.components):
        yield from _branch(f"{path}.components[{index}]", child)
    for name in ("accessory", "component"):
        if component.HasField(name):
            yield from _branch(f"{path}.{name}", getattr(component, name))


def raw_component_types(components: list[Any]) -> Iterator[Any]:
    """Yield the type of every component in JSON, including nested ones."""
    pending: list[Any] = list(components)
    while pending:
        component = pending.pop()
        if not isinstance(component, dict):
            continue
        yield component.get("type")
        for value in component.values():
            pending.extend(value if isinstance(value, list) else [value])

"""The reference of RPCs, messages, fields and enums."""

from collections import defaultdict
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, MethodDescriptor

from markup import anchor, cell, escaped, heading, table
from sources import contract_source as contract
from sources.field_limits import limits

TITLES = {
    "calls": "Any route",
    "channels": "Channels",
    "events": "Events",
    "guilds": "Guilds",
    "interactions": "Interactions",
    "members": "Members",
    "messages": "Messages",
    "operators": "Operators",
    "reactions": "Reactions and polls",
    "roles": "Roles",
    "threads": "Threads",
    "webhooks": "Webhooks",
}
_SCALARS = {
    getattr(FieldDescriptor, name): name.removeprefix("TYPE_").lower()
    for name in dir(FieldDescriptor)
    if name.startswith("TYPE_")
}


_INTRODUCTION = """\
# RPCs

Generated from the contract. The service is `discord_api.DiscordApi`; `discordproxy.Console` is for operators. Rules for
all RPCs are in the [developer guide](../../developer.md).
"""


_MESSAGES = """\
Messages and enums, generated from the contract. A field without explanation is that of Discord's documentation. The
server checks limits before it sends a request.
"""


def pages() -> dict[str, str]:
    """Return the pages by path below the folder of the documentation."""
    found = {f"reference/rpc/{name}.md": text for name, text in _rpc_pages().items()}
    found["reference/rpc/index.md"] = _index()
    for file in contract.files():
        if contract.messages(file) or contract.enums(file):
            found[f"reference/messages/{contract.stem(file)}.md"] = _message_page(contract.stem(file))
    return found


def groups() -> dict[str, list[MethodDescriptor]]:
    """Return the RPCs by group, which is the module of the Python client's method."""
    found: dict[str, list[MethodDescriptor]] = defaultdict(list)
    for method in contract.methods():
        found[_group(method)].append(method)
    return dict(sorted(found.items()))


def _group(method: MethodDescriptor) -> str:
    if method.containing_service.full_name != contract.SERVICE:
        return "operators"
    if method.name == "SubscribeEvents":
        return "events"
    return contract.client_methods().get(method.name, ("calls", ""))[0]


def _title(group: str) -> str:
    return TITLES.get(group, group.replace("_", " ").capitalize())


def _index() -> str:
    parts = [_INTRODUCTION]
    for group, methods in groups().items():
        parts.append(f"\n## {_title(group)}\n\n")
        rows = [
            (f"[{method.name}]({group}.md#{anchor(method.name)})", f"`{route}`" if (route := _route(method)) else "")
            for method in methods
        ]
        parts.append(table(("RPC", "route of Discord"), rows))
    return "".join(parts)


def _route(method: MethodDescriptor) -> str:
    return contract.http_route(method)


def _rpc_pages() -> dict[str, str]:
    return {
        group: "\n".join([f"# {_title(group)}\n\nRPCs, generated from the contract.\n", *map(_rpc, methods)])
        for group, methods in groups().items()
    }


def _rpc(method: MethodDescriptor) -> str:
    _, python = contract.client_methods().get(method.name, ("", ""))
    python = "events" if method.name == "SubscribeEvents" else python
    annotation = contract.annotation(method)
    response = f"stream of {_link(method.output_type)}" if method.server_streaming else _link(method.output_type)
    rows = [
        ("request", _link(method.input_type)),
        ("response", response),
        ("route of Discord", f"`{_route(method)}`" if _route(method) else "several, or none"),
    ]
    if python:
        rows.append(("Python", f"[`client.{python}`](../python/client.md#{anchor(python)})"))
    rows += [(name, "yes") for name in ("reason", "files", "no_bot_auth") if getattr(annotation, name)]
    words = {"reason": "audit log reason", "files": "accepts files", "no_bot_auth": "authorized by a token in the path"}
    return "\n".join(
        [
            heading(2, method.name, method.name),
            escaped(contract.comments()[method.full_name]) + "\n",
            "".join(f"- **{words.get(name, name)}**: {value}\n" for name, value in rows),
        ]
    )


def _message_page(stem: str) -> str:
    (file,) = (each for each in contract.files() if contract.stem(each) == stem)
    parts = [f"# {stem}.proto\n\n{_MESSAGES}"]
    parts += [_message(message) for message in contract.messages(file)]
    parts += [_enum(enum) for enum in contract.enums(file)]
    return "\n".join(parts)


def short(element: Descriptor | EnumDescriptor) -> str:
    """Return a name without its package."""
    return str(element.full_name).removeprefix(f"{element.file.package}.")


def _message(message: Descriptor) -> str:
    text = contract.comments()[message.full_name]
    known = limits(message, short(message))
    rows = [
        (str(field.number), f"`{field.name}`", _type(field), known.get(field.name, ""), cell(_meaning(field)))
        for field in sorted(message.fields, key=lambda each: each.number)
    ]
    fields = table(("number", "field", "type", "limit", "meaning"), rows) if rows else "No fields.\n"
    return "\n".join(filter(None, [heading(2, short(message), short(message)), escaped(text) + "\n", fields]))


def _meaning(field: FieldDescriptor) -> str:
    key = contract.discord_key(field)
    text = contract.comments()[field.full_name]
    return " ".join(filter(None, [text, f"At Discord: `{key}`." if key else ""]))


def _type(field: FieldDescriptor) -> str:
    kinds: Any = field  # protobuf 5 has no `is_repeated`, and its stubs of 7 no `label`
    repeated = kinds.is_repeated if hasattr(field, "is_repeated") else kinds.label == kinds.LABEL_REPEATED
    if field.message_type and field.message_type.GetOptions().map_entry:
        key, value = (field.message_type.fields_by_name[name] for name in ("key", "value"))
        return f"map of {_type(key)} to {_type(value)}"
    element = field.message_type or field.enum_type
    name = _link(element) if element else _SCALARS[field.type]
    if repeated:
        return f"list of {name}"
    return f"optional {name}" if field.has_presence and not field.message_type else name


def _link(element: Descriptor | EnumDescriptor) -> str:
    if element.file.package.startswith("google."):
        return f"`{element.full_name}`"
    return f"[{short(element)}](../messages/{contract.stem(element.file)}.md#{anchor(short(element))})"


def _enum(enum: EnumDescriptor) -> str:
    rows = [
        (str(value.number), f"`{value.name}`", cell(contract.comments()[f"{enum.full_name}.{value.name}"]))
        for value in enum.values
    ]
    text = contract.comments().get(enum.full_name, "")
    values = table(("number", "value", "meaning"), rows)
    return "\n".join(filter(None, [heading(2, short(enum), short(enum)), escaped(text) + "\n", values]))

"""Turns the Python arguments of a call into fields of its request. Reads files that are given as paths."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from discordproxy._requests.arguments import UNSET, CallArguments
from discordproxy._requests.checks import choice, convert, items, make, seconds, to_json
from discordproxy._requests.reading import MAX_FILE_BYTES, read_within
from discordproxy.discord_api_pb2 import (
    AllowedMentions,
    Component,
    CreateInteractionResponseRequest,
    Embed,
    File,
    KeepAttachment,
    Message,
    Overflow,
    RequestOptions,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from google.protobuf.message import Message as AnyMessage

    from discordproxy._requests.arguments import ChoicesLike, ComponentLike, EmbedLike, FileLike, Seconds
    from discordproxy.discord_api_pb2 import MessageResponse, SendChannelMessageResponse, SendDirectMessageResponse

    MessageAnswer = MessageResponse | SendChannelMessageResponse | SendDirectMessageResponse
    Request = TypeVar("Request", bound=AnyMessage)

_NONCE_BYTES = 12  # 24 hexadecimal characters; Discord's maximum is 25
_LARGE = 256 * 1024  # bytes; the proxy does not count smaller requests
_FIRST_V2_COMPONENT = Component.SECTION  # this type and all later ones require IS_COMPONENTS_V2


def split_call(arguments: Mapping[str, object]) -> tuple[dict[str, Any], CallArguments]:
    """Split the arguments of a call into its own and those of every call (CallArguments)."""
    own = dict(arguments)
    call = {name: own.pop(name) for name in CallArguments.__annotations__ if name in own}
    return own, cast("CallArguments", call)


def fill(request: AnyMessage, fields: Mapping[str, Any]) -> None:
    """Set fields of a request; None leaves a field unset.

    Raises:
        TypeError: the request has no such field.
        ValueError: a value does not fit its field.
    """
    for name in fields:
        if name not in request.DESCRIPTOR.fields_by_name:
            raise TypeError(f"unexpected keyword argument {name!r}")
    request.MergeFrom(make(type(request), **fields))


def patch(request: AnyMessage, changes: Mapping[str, Any]) -> None:
    """Set fields of a request that edits. UNSET keeps the value; None and empty lists reset the field.

    Raises:
        TypeError: the request has no such field.
    """
    given = {name: _reiterable(value) for name, value in changes.items() if value is not UNSET}
    fill(request, given)
    cast("Any", request).clear.extend(name for name, value in given.items() if value is None or value == [])


def _reiterable(value: object) -> object:
    return list(value) if isinstance(value, Iterable) and not isinstance(value, str) else value


def with_options(
    request: Request,
    *,
    priority: str | None = None,
    max_wait: Seconds | None = None,
    idempotency_key: str = "",
) -> Request:
    """Return a copy of the request with these options; the request itself if there are none."""
    if priority is None and max_wait is None and not idempotency_key:
        return request
    options = make(RequestOptions, idempotency_key=idempotency_key)
    if priority is not None:
        options.priority = choice("priority", RequestOptions.Priority, priority)
    max_wait_s = seconds("max_wait", max_wait)
    if max_wait_s is not None:
        if max_wait_s < 0:
            raise ValueError(f"max_wait: must not be negative, but is {max_wait_s:g}")
        options.max_wait.FromNanoseconds(round(max_wait_s * 1e9))
    complete = type(request)()
    complete.CopyFrom(request)
    cast("Any", complete).options.MergeFrom(options)
    return complete


def size_of(request: AnyMessage) -> tuple[tuple[str, str], ...]:
    """Return the metadata with the size of a large request: the proxy can then queue it instead of refusing it."""
    size = request.ByteSize()
    return (("x-discordproxy-upload-bytes", str(size)),) if size > _LARGE else ()


def takes_effect_once(request: Any) -> bool:
    """Return whether Discord or the proxy can detect a repetition of this request."""
    return bool(getattr(request, "nonce", "") or request.options.idempotency_key)


def write_message(
    request: AnyMessage, content: str, embed: EmbedLike | None, arguments: Mapping[str, Any]
) -> CallArguments:
    """Fill a request that creates a message; return the arguments of the call.

    Raises:
        ValueError: the message has no content at all. Other checks are left to the proxy and Discord.
    """
    fields, call = split_call(arguments)
    new_message = {"content": content, **_message_fields(fields)}
    if embed is not None and "embed" in request.DESCRIPTOR.fields_by_name:
        new_message["embed"] = convert("embed", to_embed, embed)
    elif embed is not None:
        new_message["embeds"] = [convert("embed", to_embed, embed), *(new_message.get("embeds") or ())]
    if not any(new_message.values()):
        raise ValueError("Either content or embed need to be specified.")
    if "nonce" in request.DESCRIPTOR.fields_by_name and not call.get("idempotency_key"):
        # With a key the proxy derives the nonce from it, so that a retry by another process has the same nonce.
        nonce = new_message.get("nonce") or os.urandom(_NONCE_BYTES).hex()
        new_message["nonce"] = str(nonce) if isinstance(nonce, int) else nonce
    fill(request, new_message)
    return call


def write_changes(
    request: AnyMessage, content: object, suppress_embeds: object, arguments: Mapping[str, Any]
) -> CallArguments:
    """Fill a request that edits a message; return the arguments of the call."""
    fields, call = split_call(arguments)
    embed = fields.pop("embed", UNSET)
    if embed is not UNSET:
        first = [] if embed is None else [convert("embed", to_embed, embed)]
        fields["embeds"] = [*first, *items("embeds", fields.get("embeds") or ())]
    if fields.get("attachments"):
        fields["attachments"] = _all("attachments", to_kept, fields["attachments"])
    changes = {"content": content, **_message_fields(fields)}
    if suppress_embeds is not UNSET:
        changes["flags"] = changes.get("flags", 0) | (Message.SUPPRESS_EMBEDS if suppress_embeds else 0)
    if not changes.get("files"):
        changes.pop("files", None)  # no files to add; only `attachments` removes some
    patch(request, changes)
    return call


def _message_fields(arguments: dict[str, Any]) -> dict[str, Any]:
    """Convert the arguments that differ from the request's fields; keep the others."""
    fields = dict(arguments)
    flags = convert("flags", int, fields.pop("flags", None) or 0)
    flags |= Message.SUPPRESS_NOTIFICATIONS if fields.pop("silent", False) else 0
    flags |= Message.SUPPRESS_EMBEDS if fields.pop("suppress_embeds", False) else 0
    fields.pop("enforce_nonce", None)
    if fields.pop("suppress_mentions", False):
        if fields.get("allowed_mentions") is not None:
            raise ValueError("suppress_mentions and allowed_mentions exclude each other: give only one.")
        fields["allowed_mentions"] = AllowedMentions()
    _refer(fields)
    if fields.get("overflow"):
        fields["overflow"] = choice("overflow", Overflow, fields["overflow"], "OVERFLOW_")
    for name, conversion in (("embeds", to_embed), ("files", to_file)):
        if fields.get(name):
            fields[name] = _all(name, conversion, fields[name])
    if fields.get("components"):
        components = items("components", fields.pop("components"))
        flags |= Message.IS_COMPONENTS_V2 if any(map(needs_v2, components)) else 0
        name, fields[name] = to_components(components)
    return fields | ({"flags": flags} if flags else {})


def _all(name: str, conversion: Callable[[Any], Any], values: Any) -> list[Any]:
    """Return converted values; an error names the argument and the index."""
    if isinstance(values, Mapping):
        raise ValueError(f"{name}: must be a list, not a single {type(values).__name__}")  # noqa: TRY004 -- ValueError for every invalid argument
    return [convert(f"{name}[{index}]", conversion, value) for index, value in enumerate(items(name, values))]


def _refer(fields: dict[str, Any]) -> None:
    """Replace `reply_to` and `forward` by `message_reference`."""
    reply_to, forward = fields.pop("reply_to", None), fields.pop("forward", None)
    if reply_to is not None and forward is not None:
        raise ValueError("reply_to and forward exclude each other: give only one.")
    if reply_to is not None:
        fields["message_reference"] = convert("reply_to", to_reference, reply_to)
    if forward is not None:
        fields["message_reference"] = convert("forward", to_forward, forward)


def whole_message(response: MessageAnswer) -> Message:
    """Return the message of a response. The other messages of a split text go into its `more_messages`."""
    message = response.message
    message.more_messages.extend(response.more_messages)
    return message


def to_embed(embed: EmbedLike) -> Embed:
    """Return an embed, converted if it is a dictionary in the form of Discord's JSON.

    Raises:
        TypeError: the value is neither.
        ValueError: the dictionary is not an embed.
    """
    if isinstance(embed, Embed):
        return embed
    if not isinstance(embed, Mapping):
        raise TypeError(f"must be an Embed or a dictionary, not {type(embed).__name__}")
    from google.protobuf import json_format  # noqa: PLC0415 -- most programs do not use it; import is slow

    try:
        return json_format.ParseDict(dict(embed), Embed())
    except json_format.ParseError as error:
        raise ValueError(f"not an embed in the form of Discord's JSON: {str(error).splitlines()[0]}") from error


def to_file(file: FileLike) -> File:
    """Return a File from a path, a (name, bytes) tuple, an open binary file or a File.

    Raises:
        OSError: the file cannot be read.
        TypeError: the value is none of these.
        ValueError: the file has more than 100 MiB.
    """
    if isinstance(file, File):
        return file
    if isinstance(file, (str, os.PathLike)):
        name = _base_name(file)
        with open(file, "rb") as opened:  # noqa: PTH123 -- pathlib would slow down the import of the client
            return make(File, filename=name, content=_content_of(opened, name, os.fstat(opened.fileno()).st_size))
    if isinstance(file, tuple) and len(file) == 2:  # noqa: PLR2004 -- name and content
        name, content = file
        return make(File, filename=name, content=content)
    if not hasattr(file, "read"):
        kinds = "a path, a tuple of name and bytes, an open binary file or a File"
        raise TypeError(f"must be {kinds}, not {type(file).__name__}")
    name = _base_name(getattr(file, "name", None)) or "file"
    return make(File, filename=name, content=_content_of(file, name))


def _content_of(file: Any, name: str, expected: int = 0) -> bytes:
    excess = f"{name} has more than 100 MiB, the limit of a file"
    content: bytes = read_within(file, MAX_FILE_BYTES, excess, expected=expected)
    return content


def _base_name(path: object) -> str:
    """Return the last part of a path; "" for the names of anonymous files: None, or the number of a descriptor."""
    if not isinstance(path, (str, bytes, os.PathLike)):
        return ""
    name = os.path.basename(os.fsencode(path))  # noqa: PTH119 -- pathlib would slow down the import of the client
    return name.decode("utf-8", "replace")  # file names may be invalid UTF-8


def to_kept(attachment: int | KeepAttachment) -> KeepAttachment:
    """Return an attachment to keep, from an id or a KeepAttachment."""
    return make(KeepAttachment, id=attachment) if isinstance(attachment, int) else attachment


def to_choice(name: str, value: str | float) -> CreateInteractionResponseRequest.Choice:
    """Return a choice of an autocompletion.

    Raises:
        TypeError: the value is neither a text nor a number.
    """
    made = make(CreateInteractionResponseRequest.Choice, name=name)
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise TypeError(f"must be a text or a number, not {type(value).__name__}")
    if isinstance(value, str):
        made.string_value = value
    elif isinstance(value, int):
        made.integer_value = value
    else:
        made.number_value = value
    return made


def to_choices(choices: ChoicesLike) -> list[CreateInteractionResponseRequest.Choice]:
    """Return the choices of an autocompletion, from objects or from a mapping of names to values."""
    if isinstance(choices, Mapping):
        return [convert(f"choices[{name!r}]", partial(to_choice, name), value) for name, value in choices.items()]
    return items("choices", choices)


def to_reference(message: Message | int) -> Message.Reference:
    """Return the reference to the message that a reply belongs to."""
    return Message.Reference(message_id=message if isinstance(message, int) else message.id)


def to_forward(message: Message) -> Message.Reference:
    """Return the reference that forwards a message."""
    forward = Message.Reference.FORWARD
    return Message.Reference(
        type=forward, message_id=message.id, channel_id=message.channel_id, guild_id=message.guild_id
    )


def to_components(components: Sequence[ComponentLike]) -> tuple[str, Any]:
    """Return the request field for the components, as name and value.

    Raises:
        TypeError: the list mixes Component objects and dictionaries.
        ValueError: a dictionary cannot be represented in JSON.
    """
    if all(isinstance(component, Component) for component in components):
        return "components", list(components)
    if any(isinstance(component, Component) for component in components):
        raise TypeError("components are either Component objects or dictionaries, not both.")
    return "components_json", to_json("components", components)


def needs_v2(component: ComponentLike) -> bool:
    """Return whether the component requires the message flag IS_COMPONENTS_V2."""
    kind = component.get("type") if isinstance(component, Mapping) else getattr(component, "type", None)
    return isinstance(kind, int) and kind >= _FIRST_V2_COMPONENT

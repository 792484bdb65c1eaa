"""Describes the limits of fields, which the server checks before it sends a request."""

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from discordproxy_api.contract.rules.limits import INT32, Form, Limit, limits_of

_FORMS = {
    Form.WEB: "http or https address",
    Form.LINK: "http, https or discord address",
    Form.MEDIA: "http or https address, or attachment://name",
    Form.TIME: "ISO 8601",
    Form.IMAGE: "data URI",
    Form.FILENAME: "file name",
    Form.PATH: "one segment of a path",
    Form.TOKEN: "letters, digits, - and _",
    Form.EMOJI: "unicode emoji, or name:id",
}


def limits(message: Descriptor, short_name: str) -> dict[str, str]:
    """Return the limits of a message's fields as text, by the field's name."""
    known = limits_of(short_name)
    return {field.name: _text(field, known[field.name]) for field in message.fields if field.name in known}


def _text(field: FieldDescriptor, limit: Limit) -> str:
    parts = ["required" if limit.required else "", _range(field, limit)]
    parts.append(", ".join(f"`{choice}`" for choice in limit.choices))
    parts.append("without whitespace at both ends" if limit.trimmed else "")
    parts.append(_FORMS.get(limit.form, limit.form.name.lower()) if limit.form else "")
    return "; ".join(filter(None, parts))


def _range(field: FieldDescriptor, limit: Limit) -> str:
    if limit.choices or (limit.least <= 0 and limit.most >= INT32):
        return ""
    unit = _unit(field)
    if limit.most >= INT32:
        return f"at least {limit.least}{unit}"
    if limit.least <= 0:
        return f"at most {limit.most}{unit}"
    return f"{limit.least} to {limit.most}{unit}"


def _unit(field: FieldDescriptor) -> str:
    kinds: object = field
    repeated = getattr(kinds, "is_repeated", None)
    if repeated if repeated is not None else getattr(kinds, "label", 0) == FieldDescriptor.LABEL_REPEATED:
        return " elements"
    return " characters" if field.type == FieldDescriptor.TYPE_STRING else ""

"""Completes the generic body of a message: embeds, attachments, raw components."""

from typing import Any

from discordproxy_api.contract.encode import Json
from discordproxy_api.contract.rules.file_names import referenced_index, references, upload_names, with_stored_names
from discordproxy_api.contract.rules.message_request import raw_components
from discordproxy_api.contract.translate import Outgoing, OutgoingFile

_METADATA = ("title", "description", "duration_secs", "waveform", "is_remix")
"""Fields of a file that have the same name in Discord's JSON."""

USERS_ONLY: Json = {"parse": ["users"], "replied_user": True}
"""Default of allowed_mentions with DISCORDPROXY_USERS_ONLY_MENTIONS."""


def complete_body(request: Any, outgoing: Outgoing, *, users_only: bool) -> None:
    """Adapt the body and the files of a message in place."""
    body = outgoing.body if outgoing.body is not None else {}
    if "embed" in body:
        body["embeds"] = [body.pop("embed"), *body.get("embeds", ())]
    if request.components_json:
        body["components"] = raw_components(request)
    if users_only:
        body.setdefault("allowed_mentions", USERS_ONLY)
    if request.files:
        _attach(request, outgoing, body)


def attach_text(outgoing: Outgoing, body: Json, filename: str, text: str) -> None:
    """Add a text file to the upload."""
    index = len(outgoing.files)
    content_type = "text/plain; charset=utf-8"
    outgoing.files.append(OutgoingFile(f"files[{index}]", filename, text.encode(), content_type))
    body.setdefault("attachments", []).append({"id": str(index), "filename": filename})


def _attach(request: Any, outgoing: Outgoing, body: Json) -> None:
    """List the new files after the kept attachments; Discord removes attachments that are not listed."""
    described = body.setdefault("attachments", [])
    names = upload_names(request.files)
    shown = {key: body[key] for key in ("embeds", "components") if key in body}
    referenced = {referenced_index(name, names) for name in references(list(shown.values()))}
    for index, (file, part, name) in enumerate(zip(request.files, outgoing.files, names, strict=True)):
        invented = name.lost and index in referenced
        part.filename = name.stored if invented else name.given
        title = {"title": file.filename.rpartition(".")[0] or file.filename} if invented else {}
        described.append(title | _description(index, file, part.filename))
    body.update({key: with_stored_names(value, names) for key, value in shown.items()})


def _description(index: int, file: Any, filename: str) -> Json:
    entry: Json = {"id": str(index), "filename": filename}
    entry |= {key: value for key in _METADATA if (value := getattr(file, key))}
    return entry | ({"is_spoiler": True} if file.spoiler else {})

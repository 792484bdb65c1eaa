"""Returns embeds and components as Discord does: with its own URLs and all defaults."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from discordproxy_sandbox.errors import Json, invalid_form
from discordproxy_sandbox.messages.file_names import clean
from discordproxy_sandbox.messages.validation import failure

_ATTACHMENT = "attachment://"
PICTURES = ("image", "thumbnail", "video")
Files = Mapping[str, Json]  # attachments of the same message by cleaned file name
_SELECTS: Json = {"min_values": 1, "max_values": 1}
_DEFAULTS: dict[int, Json] = {
    3: _SELECTS,
    5: _SELECTS,
    6: _SELECTS,
    7: _SELECTS,
    8: _SELECTS,
    11: {"description": None, "spoiler": False},
    13: {"name": None, "size": None, "spoiler": False},
    14: {"spacing": 1, "divider": True},
    17: {"accent_color": None, "spoiler": False},
}


def echo_embed(sent: Json, files: Files) -> Json:
    """Return an embed as it is stored: pictures and icons with a proxied URL."""
    embed = _without_nulls({"type": "rich", **sent})
    for key in PICTURES:
        if key in embed:
            url, proxy = _urls(embed.pop(key).get("url") or "", files)
            if not url.startswith(_ATTACHMENT):  # Discord drops an unknown picture without an error
                embed[key] = {"url": url, "proxy_url": proxy, "height": 0, "width": 0, "flags": 0}
    for key in ("footer", "author"):
        if key in embed:
            embed[key] = _without_nulls(embed[key])
        if embed.get(key, {}).get("icon_url"):
            url, proxy = _urls(embed[key]["icon_url"], files)
            embed[key] |= {"icon_url": url, "proxy_icon_url": proxy}
    if "fields" in embed:
        embed["fields"] = [{"inline": False, **field} for field in embed["fields"]]
    return embed


def echo_component(sent: Json, files: Files) -> Json:
    """Return a component and its children as they are stored."""
    component: Json = {**_DEFAULTS.get(sent["type"], {}), **_without_nulls(sent)}
    if "components" in component:
        component["components"] = [echo_component(inner, files) for inner in component["components"]]
    for key in ("accessory", "component"):
        if key in component:
            component[key] = echo_component(component[key], files)
    for key in ("media", "file"):
        if key in component:
            component[key] = _media(component[key], files)
    if "items" in component:
        component["items"] = [
            {"description": None, "spoiler": False, **item, "media": _media(item["media"], files)}
            for item in component["items"]
        ]
    return component


def _media(sent: Json, files: Files) -> Json:
    url, proxy = _urls(sent["url"], files)
    if url.startswith(_ATTACHMENT):
        text = f'The referenced attachment ("{url}") was not found'
        raise invalid_form({"components": failure("UNFURLED_MEDIA_ITEM_REFERENCED_ATTACHMENT_NOT_FOUND", text)})
    digest = int.from_bytes(blake2b(url.encode(), digest_size=7).digest())
    return {"id": str(digest), "url": url, "proxy_url": proxy, "height": 0, "width": 0}


def _urls(url: str, files: Files) -> tuple[str, str]:
    """Return the URL of a resource and the URL at Discord's proxy."""
    if url.startswith(_ATTACHMENT):
        attachment = files.get(clean(url.removeprefix(_ATTACHMENT)))
        return (attachment["url"], attachment["proxy_url"]) if attachment else (url, url)
    scheme, _, rest = url.partition("://")
    digest = blake2b(rest.encode(), digest_size=16).hexdigest()
    return url, f"https://images-ext-1.discordapp.net/external/{digest}/{scheme}/{rest}"


def _without_nulls(sent: Mapping[str, Any]) -> Json:
    return {key: value for key, value in sent.items() if value is not None}

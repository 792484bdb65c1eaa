"""Short ways to write the messages that are long to write: components, mentions, polls.

Every function returns a plain protobuf message, so that anything it does not cover can be set afterwards.
"""
# ruff: noqa: N802 -- the functions are named like the components they make

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from discordproxy._requests.checks import convert, items, make
from discordproxy.discord_api_pb2 import AllowedMentions, Component, Poll

if TYPE_CHECKING:
    from collections.abc import Iterable

_HOUR_S = 3600


def mentions(
    *,
    users: bool | Iterable[int] = False,
    roles: bool | Iterable[int] = False,
    everyone: bool = False,
    replied_user: bool | None = None,
) -> AllowedMentions:
    """Return who may be pinged: nobody unless said otherwise.

    Args:
        users: True for all users that the text mentions, or the ids of some of them.
        roles: Likewise for roles.
        everyone: Whether @everyone and @here ping.
        replied_user: Whether the author of the message that is replied to is pinged.
    """
    allowed = make(AllowedMentions, replied_user=replied_user)
    for name, whom in (("users", users), ("roles", roles)):
        if whom is True:
            allowed.parse.append(name)
        elif whom:
            some: dict[str, Any] = {name: items(name, whom)}
            allowed.MergeFrom(make(AllowedMentions, **some))
    if everyone:
        allowed.parse.append("everyone")
    return allowed


def poll(
    question: str, answers: Iterable[str], *, duration: timedelta = timedelta(hours=24), multiselect: bool = False
) -> Poll:
    """Return a poll.

    Args:
        question: At most 300 characters.
        answers: Up to 10, at most 55 characters each.
        duration: One hour to 32 days, in whole hours.
        multiselect: Whether one may choose several answers.
    """
    return make(
        Poll,
        question=make(Poll.Media, text=question),
        answers=[Poll.Answer(poll_media=make(Poll.Media, text=answer)) for answer in answers],
        duration=round(duration.total_seconds() / _HOUR_S),
        allow_multiselect=multiselect,
    )


def emoji(text: str) -> Component.Emoji:
    """Return an emoji for a button or option: a character, or "name:id" of a guild's emoji."""
    name, _, emoji_id = text.partition(":")
    return (
        make(Component.Emoji, name=name, id=convert("id", int, emoji_id))
        if emoji_id
        else make(Component.Emoji, name=text)
    )


class Button:
    """Buttons; they stand in an ActionRow, or beside a Section."""

    @staticmethod
    def link(label: str, url: str, *, emoji: Component.Emoji | None = None, disabled: bool = False) -> Component:
        """Return a button that opens a page."""
        return make(
            Component, type=Component.BUTTON, style=Component.LINK, label=label, url=url, emoji=emoji, disabled=disabled
        )

    @staticmethod
    def action(
        label: str,
        custom_id: str,
        style: Component.ButtonStyle.ValueType = Component.PRIMARY,
        *,
        emoji: Component.Emoji | None = None,
        disabled: bool = False,
    ) -> Component:
        """Return a button that tells the bot about a click, with `custom_id`."""
        return make(
            Component,
            type=Component.BUTTON,
            style=style,
            label=label,
            custom_id=custom_id,
            emoji=emoji,
            disabled=disabled,
        )

    @staticmethod
    def premium(sku_id: int) -> Component:
        """Return a button that offers a purchase."""
        return make(Component, type=Component.BUTTON, style=Component.PREMIUM, sku_id=sku_id)


def ActionRow(*components: Component) -> Component:
    """Return a row of up to five buttons, or of one select."""
    return make(Component, type=Component.ACTION_ROW, components=components)


def StringSelect(
    custom_id: str,
    options: Iterable[str | Component.Option],
    *,
    placeholder: str = "",
    min_values: int | None = None,
    max_values: int | None = None,
) -> Component:
    """Return a menu of up to 25 options; a text is its own value."""
    return make(
        Component,
        type=Component.STRING_SELECT,
        custom_id=custom_id,
        options=[
            make(Component.Option, label=option, value=option) if isinstance(option, str) else option
            for option in options
        ],
        placeholder=placeholder,
        min_values=min_values,
        max_values=max_values,
    )


def Container(*components: Component, accent_color: int | None = None, spoiler: bool = False) -> Component:
    """Return a box around other components, with a coloured edge."""
    return make(Component, type=Component.CONTAINER, components=components, accent_color=accent_color, spoiler=spoiler)


def TextDisplay(content: str) -> Component:
    """Return text with Discord's formatting."""
    return make(Component, type=Component.TEXT_DISPLAY, content=content)


def Section(*texts: str | Component, accessory: Component) -> Component:
    """Return up to three texts with a button or thumbnail beside them."""
    components = [TextDisplay(text) if isinstance(text, str) else text for text in texts]
    return make(Component, type=Component.SECTION, components=components, accessory=accessory)


def Thumbnail(url: str, description: str = "", *, spoiler: bool = False) -> Component:
    """Return a small picture for a Section; `attachment://name` shows a file of the message."""
    return make(
        Component,
        type=Component.THUMBNAIL,
        media=make(Component.Media, url=url),
        description=description,
        spoiler=spoiler,
    )


def MediaGallery(*items: str | Component.GalleryItem) -> Component:
    """Return up to ten pictures or videos, by URL or as GalleryItem."""
    return make(
        Component,
        type=Component.MEDIA_GALLERY,
        items=[
            make(Component.GalleryItem, media=make(Component.Media, url=item)) if isinstance(item, str) else item
            for item in items
        ],
    )


def AttachedFile(filename: str, *, spoiler: bool = False) -> Component:
    """Return a file of the message, shown at this place."""
    return make(
        Component, type=Component.FILE, file=make(Component.Media, url=f"attachment://{filename}"), spoiler=spoiler
    )


def Separator(*, divider: bool = True, large: bool = False) -> Component:
    """Return a gap, with a line in it or not."""
    return make(Component, type=Component.SEPARATOR, divider=divider, spacing=2 if large else 1)

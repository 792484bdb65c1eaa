"""Functions that create components, allowed mentions and polls.

Each returns a plain protobuf message, so that other fields can be set afterwards.
"""
# ruff: noqa: N802 -- the functions have the names of the components they create

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
    """Return the mentions that ping; without arguments none.

    Args:
        users: True for all mentioned users, or the ids of up to 100 users.
        roles: True for all mentioned roles, or the ids of up to 100 roles.
        everyone: Whether @everyone and @here ping.
        replied_user: Whether a reply pings the author of the original message.
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
        question: Up to 300 characters.
        answers: 1 to 10 answers of up to 55 characters.
        duration: 1 hour to 32 days; rounded to hours.
        multiselect: Whether a user may choose several answers.
    """
    return make(
        Poll,
        question=make(Poll.Media, text=question),
        answers=[
            Poll.Answer(poll_media=make(Poll.Media, text=convert(f"answers[{index}]", _text, answer)))
            for index, answer in enumerate(items("answers", answers))
        ],
        duration=convert("duration", _hours, duration),
        allow_multiselect=multiselect,
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"must be a text, not {type(value).__name__}")
    return value


def _hours(duration: Any) -> int:
    if not isinstance(duration, timedelta):
        raise TypeError(f"must be a timedelta, not {type(duration).__name__}")
    return round(duration.total_seconds() / _HOUR_S)


def emoji(text: str) -> Component.Emoji:
    """Return an emoji for a button or option, from a unicode character or "name:id" of a custom emoji."""
    name, _, emoji_id = text.partition(":")
    return (
        make(Component.Emoji, name=name, id=convert("id", int, emoji_id))
        if emoji_id
        else make(Component.Emoji, name=text)
    )


class Button:
    """Buttons, for an ActionRow or as the accessory of a Section."""

    @staticmethod
    def link(label: str, url: str, *, emoji: Component.Emoji | None = None, disabled: bool = False) -> Component:
        """Return a button that opens a URL."""
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
        """Return a button whose click sends the bot an interaction with `custom_id`."""
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
        """Return a button for a purchase."""
        return make(Component, type=Component.BUTTON, style=Component.PREMIUM, sku_id=sku_id)


def ActionRow(*components: Component) -> Component:
    """Return a row of up to five buttons or one select menu."""
    return make(Component, type=Component.ACTION_ROW, components=components)


def StringSelect(
    custom_id: str,
    options: Iterable[str | Component.Option],
    *,
    placeholder: str = "",
    min_values: int | None = None,
    max_values: int | None = None,
) -> Component:
    """Return a select menu of 1 to 25 options. A str is both label and value of its option."""
    return make(
        Component,
        type=Component.STRING_SELECT,
        custom_id=custom_id,
        options=[
            make(Component.Option, label=option, value=option) if isinstance(option, str) else option
            for option in items("options", options)
        ],
        placeholder=placeholder,
        min_values=min_values,
        max_values=max_values,
    )


def Container(*components: Component, accent_color: int | None = None, spoiler: bool = False) -> Component:
    """Return a box around other components. `accent_color` (0xRRGGBB) is the color of its edge."""
    return make(Component, type=Component.CONTAINER, components=components, accent_color=accent_color, spoiler=spoiler)


def TextDisplay(content: str) -> Component:
    """Return a text with Markdown formatting."""
    return make(Component, type=Component.TEXT_DISPLAY, content=content)


def Section(*texts: str | Component, accessory: Component) -> Component:
    """Return up to three texts next to an accessory: a button or thumbnail."""
    components = [TextDisplay(text) if isinstance(text, str) else text for text in texts]
    return make(Component, type=Component.SECTION, components=components, accessory=accessory)


def Thumbnail(url: str, description: str = "", *, spoiler: bool = False) -> Component:
    """Return a small image for a Section. The URL `attachment://name` shows a file of the message."""
    return make(
        Component,
        type=Component.THUMBNAIL,
        media=make(Component.Media, url=url),
        description=description,
        spoiler=spoiler,
    )


def MediaGallery(*items: str | Component.GalleryItem) -> Component:
    """Return up to ten images or videos, as URLs or GalleryItem objects."""
    return make(
        Component,
        type=Component.MEDIA_GALLERY,
        items=[
            make(Component.GalleryItem, media=make(Component.Media, url=item)) if isinstance(item, str) else item
            for item in items
        ],
    )


def AttachedFile(filename: str, *, spoiler: bool = False) -> Component:
    """Return a component that shows a file of the message."""
    return make(
        Component, type=Component.FILE, file=make(Component.Media, url=f"attachment://{filename}"), spoiler=spoiler
    )


def Separator(*, divider: bool = True, large: bool = False) -> Component:
    """Return vertical space, with a dividing line or without."""
    return make(Component, type=Component.SEPARATOR, divider=divider, spacing=2 if large else 1)

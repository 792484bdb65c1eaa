"""Explains missing permissions for sending a message, with advice. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from discordproxy_api.cached.permission_names import NAMES
from discordproxy_api.cached.permissions import (
    CONNECT,
    SEND,
    SEND_IN_THREADS,
    STAGE,
    THREADS,
    VIEW,
    VOICE,
    Permissions,
    Rule,
)

CATEGORY, DIRECTORY = 4, 14

_ELSEWHERE = "allow it there for one of the member's other roles or for the member"
_ADVICE: dict[Rule, str] = {
    Rule.ROLES: "None of the member's roles has {name}: add it to one of them, or allow it in the channel.",
    Rule.EVERYONE_OVERWRITE: "The channel denies {name} to @everyone: " + _ELSEWHERE + ".",
    Rule.ROLE_OVERWRITE: "The channel denies {name} to roles of the member ({ids}): " + _ELSEWHERE + ".",
    Rule.MEMBER_OVERWRITE: "The channel denies {name} to this member: remove that overwrite.",
    Rule.TIMED_OUT: "The member is timed out: remove the timeout, or wait until it ends.",
    Rule.NO_VIEW: "The member cannot see the channel, so {name} has no effect: grant VIEW_CHANNEL first.",
    Rule.NO_SEND: "Without SEND_MESSAGES, {name} has no effect: grant that first.",
    Rule.NO_CONNECT: "Without CONNECT, {name} has no effect in a voice channel: grant that first.",
    Rule.THREAD_LOCKED: "The thread is locked: unlock it, or grant the member MANAGE_THREADS.",
}


@dataclass(frozen=True, slots=True)
class Denial:
    """A missing permission; fields as in the contract."""

    permission: str
    rule: int
    ids: tuple[int, ...]
    advice: str


def denials(permissions: Permissions, channel_type: int = 0) -> Iterator[Denial]:
    """Yield the permissions that are missing to send to a channel or thread of this Discord type."""
    if channel_type in {CATEGORY, DIRECTORY}:
        yield Denial("", 0, (), "No messages can be sent to a channel of this type.")
        return
    for bit in _needed(channel_type):
        if not permissions.bits & bit:
            decision, name = permissions.decision(bit), NAMES[bit.bit_length() - 1]
            advice = _ADVICE[decision.rule].format(name=name, ids=", ".join(map(str, decision.ids)))
            yield Denial(name, decision.rule, decision.ids, advice)


def _needed(channel_type: int) -> tuple[int, ...]:
    if channel_type in THREADS:
        return VIEW, SEND_IN_THREADS
    return (VIEW, CONNECT, SEND) if channel_type in {VOICE, STAGE} else (VIEW, SEND)

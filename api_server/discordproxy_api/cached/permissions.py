"""Computes the permissions of a member in a guild or channel, and the deciding rules. Pure.

The rules are Discord's (topics/permissions: "Permission Overwrites", "Implicit Permissions", "Inherited Permissions",
"Permissions For Timed Out Members", 2026-08). Objects are Discord's JSON; ids and permissions are decimal strings.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from discordproxy_api.cached.permission_names import ALL, BITS

Json = Mapping[str, Any]

VIEW, SEND, SEND_IN_THREADS = BITS["VIEW_CHANNEL"], BITS["SEND_MESSAGES"], BITS["SEND_MESSAGES_IN_THREADS"]
ADMINISTRATOR, CONNECT, MANAGE_THREADS = BITS["ADMINISTRATOR"], BITS["CONNECT"], BITS["MANAGE_THREADS"]
KEPT_IN_TIMEOUT = VIEW | BITS["READ_MESSAGE_HISTORY"]
NEEDS_SEND = BITS["MENTION_EVERYONE"] | BITS["SEND_TTS_MESSAGES"] | BITS["ATTACH_FILES"] | BITS["EMBED_LINKS"]

VOICE, STAGE = 2, 13
THREADS = frozenset({10, 11, 12})
_ROLE = 0


class Rule(IntEnum):
    """The rule that decided; numbers as in the contract's PermissionRule."""

    OWNER = 1
    ADMINISTRATOR = 2
    ROLES = 3
    EVERYONE_OVERWRITE = 4
    ROLE_OVERWRITE = 5
    MEMBER_OVERWRITE = 6
    TIMED_OUT = 7
    NO_VIEW = 8
    NO_SEND = 9
    NO_CONNECT = 10
    THREAD_LOCKED = 11


@dataclass(frozen=True, slots=True)
class PermissionDecision:
    """A rule, and the ids of the roles or the user whose overwrites it applied."""

    rule: Rule
    ids: tuple[int, ...] = ()


@dataclass(slots=True)
class Permissions:
    """The permissions of a member.

    Attributes:
        bits: the granted permissions.
        decisions: by bit, the last rule that changed it; bits without an entry were decided by the roles.
        timed_out: an effective timeout.
    """

    bits: int
    owner: bool = False
    administrator: bool = False
    timed_out: bool = False
    decisions: dict[int, PermissionDecision] = field(default_factory=dict)

    def decision(self, bit: int) -> PermissionDecision:
        """Return the rule that decided about a bit."""
        return self.decisions.get(bit, PermissionDecision(Rule.ROLES))

    def apply(self, allow: int, deny: int, by: PermissionDecision) -> None:
        """Deny, then allow."""
        self.bits = self.bits & ~deny | allow
        self.decisions.update(dict.fromkeys(_bits(deny | allow), by))

    def restrict(self, kept: int, by: PermissionDecision) -> None:
        """Remove all permissions except `kept`."""
        self.decisions.update(dict.fromkeys(_bits(self.bits & ~kept), by))
        self.bits &= kept


def compute(
    guild: Json, member: Json, channel: Json | None = None, *, thread: Json | None = None, timed_out: bool = False
) -> Permissions:
    """Return the permissions of a member.

    Args:
        guild: with `owner_id` and `roles`.
        member: with `user` and `roles`.
        channel: None for the guild as a whole; the parent channel for a thread.
        thread: in that channel; membership of private threads is not checked.
        timed_out: whether the member is timed out now.
    """
    if guild["owner_id"] == member["user"]["id"]:
        return Permissions(ALL, owner=True, decisions=dict.fromkeys(_bits(ALL), PermissionDecision(Rule.OWNER)))
    held = {guild["id"], *member["roles"]}
    base = 0
    for role in guild["roles"]:
        if role["id"] in held:
            base |= int(role["permissions"])
    if base & ADMINISTRATOR:
        by = PermissionDecision(Rule.ADMINISTRATOR)
        return Permissions(base | ALL, administrator=True, decisions=dict.fromkeys(_bits(base | ALL), by))
    found = Permissions(base, timed_out=timed_out)
    if channel is not None:
        _overwrite(found, guild, member, channel.get("permission_overwrites") or ())
        _imply(found, channel, thread)
    if timed_out:
        found.restrict(KEPT_IN_TIMEOUT, PermissionDecision(Rule.TIMED_OUT))
    return found


def _overwrite(found: Permissions, guild: Json, member: Json, overwrites: Sequence[Json]) -> None:
    user_id = member["user"]["id"]
    roles = {each["id"]: each for each in overwrites if int(each["type"]) == _ROLE}
    everyone = roles.pop(guild["id"], None)
    if everyone is not None:
        by = PermissionDecision(Rule.EVERYONE_OVERWRITE, (int(guild["id"]),))
        found.apply(int(everyone["allow"]), int(everyone["deny"]), by)
    held = [roles[role] for role in member["roles"] if role in roles]
    for bit in _bits(_union(held, "allow") | _union(held, "deny")):
        allowing, denying = _ids(held, "allow", bit), _ids(held, "deny", bit)
        by = PermissionDecision(Rule.ROLE_OVERWRITE, allowing or denying)
        found.apply(bit if allowing else 0, bit if denying else 0, by)
    own = next((each for each in overwrites if int(each["type"]) != _ROLE and each["id"] == user_id), None)
    if own is not None:
        by = PermissionDecision(Rule.MEMBER_OVERWRITE, (int(user_id),))
        found.apply(int(own["allow"]), int(own["deny"]), by)


def _imply(found: Permissions, channel: Json, thread: Json | None) -> None:
    locked = thread is not None and (thread.get("thread_metadata") or {}).get("locked")
    if locked and not found.bits & MANAGE_THREADS:
        found.restrict(~SEND_IN_THREADS, PermissionDecision(Rule.THREAD_LOCKED))
    if not found.bits & VIEW:
        found.restrict(0, PermissionDecision(Rule.NO_VIEW))
    elif not found.bits & (SEND if thread is None else SEND_IN_THREADS):
        found.restrict(~NEEDS_SEND, PermissionDecision(Rule.NO_SEND))
    if channel["type"] in {VOICE, STAGE} and not found.bits & CONNECT:
        found.restrict(VIEW, PermissionDecision(Rule.NO_CONNECT))


def _bits(permissions: int) -> Iterable[int]:
    return (1 << place for place in range(permissions.bit_length()) if permissions >> place & 1)


def _union(overwrites: Sequence[Json], side: str) -> int:
    union = 0
    for each in overwrites:
        union |= int(each[side])
    return union


def _ids(overwrites: Sequence[Json], side: str, bit: int) -> tuple[int, ...]:
    return tuple(int(each["id"]) for each in overwrites if int(each[side]) & bit)

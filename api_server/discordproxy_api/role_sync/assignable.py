"""Roles that the bot can add and remove, by Discord's rules. Pure.

Discord's documentation, topics/permissions, "Permission Hierarchy" (2026-08): a bot with MANAGE_ROLES grants roles
below its own highest role, whatever roles the other member has.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from discordproxy_api.cached.permission_names import BITS
from discordproxy_api.cached.permissions import compute

Json = Mapping[str, Any]

_MANAGE_ROLES = BITS["MANAGE_ROLES"]


class Why(IntEnum):
    """Why a role cannot be assigned; numbers as in the contract's UnassignableRole.Why."""

    UNKNOWN_ROLE = 1
    EVERYONE = 2
    MANAGED = 3
    HIERARCHY = 4


TEXTS: Mapping[Why, str] = {
    Why.UNKNOWN_ROLE: "The guild has no such role; remove it from the request.",
    Why.EVERYONE: "@everyone belongs to all members; remove it from the request.",
    Why.MANAGED: "An integration, a bot or a boost grants this role; remove it from the request.",
    Why.HIERARCHY: "The role is not below the bot's highest role; move the bot's role above it.",
}


@dataclass(frozen=True, slots=True)
class GuildView:
    """A guild and the bot's membership, as Discord's JSON.

    Attributes:
        guild: with `id`, `owner_id` and `roles`.
        bot: with `user` and `roles`.
    """

    guild: Json
    bot: Json

    def role_ids(self) -> set[int]:
        """Return the ids of the guild's roles."""
        return {int(role["id"]) for role in self.guild["roles"]}

    def may_manage_roles(self) -> bool:
        """Return whether the bot has the permission MANAGE_ROLES."""
        return bool(compute(self.guild, self.bot).bits & _MANAGE_ROLES)

    def unassignable(self, role_ids: Iterable[int]) -> dict[int, Why]:
        """Return the roles that the bot cannot add or remove, by id."""
        roles = {int(role["id"]): role for role in self.guild["roles"]}
        limit = self._rank_limit()
        reasons = ((role_id, self._why(role_id, roles.get(role_id), limit)) for role_id in role_ids)
        return {role_id: why for role_id, why in reasons if why is not None}

    def _why(self, role_id: int, role: Json | None, limit: tuple[int, int] | None) -> Why | None:
        if role_id == int(self.guild["id"]):
            return Why.EVERYONE
        if role is None:
            return Why.UNKNOWN_ROLE
        if role.get("managed"):
            return Why.MANAGED
        return Why.HIERARCHY if limit is not None and _rank(role) >= limit else None

    def _rank_limit(self) -> tuple[int, int] | None:
        """Return the rank of the bot's highest role; None for the owner, whom no rank limits."""
        if self.guild["owner_id"] == self.bot["user"]["id"]:
            return None
        held = {self.guild["id"], *self.bot["roles"]}
        return max(_rank(role) for role in self.guild["roles"] if role["id"] in held)


def _rank(role: Json) -> tuple[int, int]:
    """Return a role's place in the hierarchy. Of two roles with the same position, the older one is higher."""
    return int(role["position"]), -int(role["id"])

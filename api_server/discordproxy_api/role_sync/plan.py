"""Compares the members of a guild with the wanted ones, and plans the changes. Pure."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

FREE_REMOVALS, HELD_PER_REMOVAL = 5, 10
"""Removals that are allowed by default: 5, and one for every ten roles that members hold."""


@dataclass(frozen=True, slots=True)
class MemberChange:
    """Roles that a member gains and loses."""

    user_id: int
    add: tuple[int, ...] = ()
    remove: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        """Return whether anything changes."""
        return bool(self.add or self.remove)

    def __len__(self) -> int:
        """Return the number of roles that change."""
        return len(self.add) + len(self.remove)

    def pending(self, current: Collection[int]) -> "MemberChange":
        """Return the part that a member with these roles still needs."""
        return MemberChange(
            self.user_id,
            tuple(role for role in self.add if role not in current),
            tuple(role for role in self.remove if role in current),
        )

    def without(self, roles: Collection[int]) -> "MemberChange":
        """Return the change without some roles."""
        return MemberChange(
            self.user_id,
            tuple(role for role in self.add if role not in roles),
            tuple(role for role in self.remove if role not in roles),
        )

    def applied_to(self, current: Iterable[int]) -> list[int]:
        """Return the roles of a member with these roles after the change, in the order of their ids."""
        return sorted((set(current) - set(self.remove)) | set(self.add))


@dataclass(slots=True)
class RolePlan:
    """The changes that a guild needs.

    Attributes:
        changes: by user id.
        held: how many times a compared member has one of the roles now.
        listed: number of compared members.
        not_in_guild: wanted users who are not members, by id.
    """

    changes: list[MemberChange] = field(default_factory=list)
    adds: int = 0
    removes: int = 0
    held: int = 0
    listed: int = 0
    not_in_guild: tuple[int, ...] = ()

    def default_max_removals(self) -> int:
        """Return the bound of removals for a request without one."""
        return FREE_REMOVALS + self.held // HELD_PER_REMOVAL


class RolePlanner:
    """Plans the changes, member by member.

    Args:
        wanted: users by role.
        unassignable: roles that stay as they are.
        exact: whether members who are not wanted lose the role.
    """

    def __init__(
        self, wanted: Mapping[int, Collection[int]], *, unassignable: Collection[int] = (), exact: bool = True
    ) -> None:
        self._exact = exact
        self._roles = frozenset(wanted) - frozenset(unassignable)
        self._wanted: dict[int, set[int]] = {}
        for role_id, user_ids in wanted.items():
            for user_id in user_ids:
                self._wanted.setdefault(user_id, set()).add(role_id)
        self._missing = set(self._wanted)
        self._plan = RolePlan()

    def compare(self, user_id: int, roles: Iterable[int]) -> None:
        """Add a member, given the roles it has now."""
        plan = self._plan
        held = self._roles.intersection(roles)
        wanted = self._roles & self._wanted.get(user_id, set())
        self._missing.discard(user_id)
        plan.listed += 1
        plan.held += len(held)
        add, remove = wanted - held, held - wanted if self._exact else frozenset()
        if add or remove:
            plan.adds += len(add)
            plan.removes += len(remove)
            plan.changes.append(MemberChange(user_id, tuple(sorted(add)), tuple(sorted(remove))))

    def plan(self) -> RolePlan:
        """Return the plan for the members compared so far."""
        self._plan.not_in_guild = tuple(sorted(self._missing))
        return self._plan

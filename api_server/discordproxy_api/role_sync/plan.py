"""Compares the members of a guild with the wanted ones, and plans the changes. Pure."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

FREE_REMOVALS, HELD_PER_REMOVAL = 5, 10
"""Removals that are allowed by default: 5, and one for every ten roles that members hold."""

_COMPARED = 1
"""The lowest bit of a user's bit set: the user is a member."""


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
    """Plans the changes: first all wanted users are added, then all members are compared.

    Sets of roles are bit sets, because there may be hundreds of thousands of users.

    Args:
        roles: the roles to be compared.
        unassignable: those among them that stay as they are.
        exact: whether members who are not wanted lose the role.
    """

    def __init__(self, roles: Iterable[int], *, unassignable: Collection[int] = (), exact: bool = True) -> None:
        self._exact = exact
        usable = sorted(set(roles) - set(unassignable))
        self._bits = {role_id: _COMPARED << place for place, role_id in enumerate(usable, start=1)}
        self._by_bit = {bit: role_id for role_id, bit in self._bits.items()}
        self._wanted: dict[int, int] = {}
        self._plan = RolePlan()

    def want(self, role_id: int, user_ids: Iterable[int]) -> None:
        """Add users who shall have a role."""
        bit, wanted = self._bits.get(role_id, 0), self._wanted
        for user_id in user_ids:
            wanted[user_id] = wanted.get(user_id, 0) | bit

    def compare(self, user_id: int, roles: Iterable[int]) -> None:
        """Add a member, given the roles it has now."""
        plan, bits = self._plan, self._bits
        wanted = self._wanted.get(user_id)
        if wanted is None:
            wanted = 0
        else:
            self._wanted[user_id] = wanted | _COMPARED
        held = 0
        for role in roles:
            held |= bits.get(role, 0)
        plan.listed += 1
        plan.held += held.bit_count()
        wanted &= ~_COMPARED
        add, remove = wanted & ~held, held & ~wanted if self._exact else 0
        if add or remove:
            plan.adds += add.bit_count()
            plan.removes += remove.bit_count()
            plan.changes.append(MemberChange(user_id, self._roles(add), self._roles(remove)))

    def plan(self) -> RolePlan:
        """Return the plan for the members compared so far."""
        self._plan.not_in_guild = tuple(sorted(user for user, bits in self._wanted.items() if not bits & _COMPARED))
        return self._plan

    def _roles(self, bits: int) -> tuple[int, ...]:
        found = []
        while bits:
            lowest = bits & -bits
            found.append(self._by_bit[lowest])
            bits ^= lowest
        return tuple(found)

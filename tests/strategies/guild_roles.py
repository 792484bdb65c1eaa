"""A guild of many members with some wrong roles, and the roles that they shall have."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from discordproxy_sandbox.resources.guild.roles import delete
from discordproxy_sandbox.world.objects import make_member, make_role
from discordproxy_sandbox.world.population import add_guilds, default_world, nth
from discordproxy_sandbox.world.world import Event, Guild, World

FIRST_ROLE = "410000000000000001"
OTHER_ROLE = 420000000000000001
"""A role that no list contains; every member has it."""
FIRST_ABSENT = 610000000000000001


@dataclass
class RoleWorld:
    """A world with one large guild.

    Attributes:
        wanted: users by role; some of them are not members.
        wrong: the members whose roles differ from `wanted`.
        absent: users in `wanted` who are not members.
        removes: roles that members have and shall not have.
    """

    world: World
    guild: Guild
    wanted: dict[int, list[int]]
    wrong: set[int] = field(default_factory=set)
    absent: set[int] = field(default_factory=set)
    adds: int = 0
    removes: int = 0
    held: int = 0

    @property
    def guild_id(self) -> int:
        return int(self.guild.id)

    @property
    def members(self) -> list[int]:
        return [int(user_id) for user_id in self.guild.members if user_id != self.world.bot_id]

    def roles_of(self, user_id: int) -> set[int]:
        return {int(role) for role in self.guild.members.get(str(user_id))["roles"]}

    def wrong_now(self) -> set[int]:
        """Return the members whose roles differ from `wanted` now, or who lost another role."""
        wanted_by_user: dict[int, set[int]] = {}
        for role_id, user_ids in self.wanted.items():
            for user_id in user_ids:
                wanted_by_user.setdefault(user_id, set()).add(role_id)
        existing = {int(role) for role in self.guild.roles}
        return {
            user_id
            for user_id in self.members
            if self.roles_of(user_id) != (wanted_by_user.get(user_id, set()) | {OTHER_ROLE}) & existing
        }

    def after_updates(self, number: int, action: Callable[[], object]) -> None:
        """Call `action` once, right after the change of the `number`-th member from now on."""
        seen = 0

        def listen(event: Event) -> None:
            nonlocal seen
            seen += event.name == "GUILD_MEMBER_UPDATE"
            if seen >= number:
                self.world.listeners.remove(listen)
                action()

        self.world.listeners.append(listen)

    def delete_role(self, role_id: int) -> None:
        """Delete a role, as an administrator would."""

        class Request(dict):
            world = self.world

        delete(Request(guild_id=self.guild.id, role_id=str(role_id)))


def role_world(members: int, roles: int, *, wrong_share: float = 0.1, absent: int = 0, seed: int = 1) -> RoleWorld:
    """Return a world whose guild has about four of the roles per member; the bot owns it.

    Of the members with wrong roles, a third lacks some, a third has too many, a third both.
    """
    dice = random.Random(seed)
    world = default_world(time.time)
    (guild_id,) = add_guilds(world, 1, members)
    guild = world.guilds[guild_id]
    role_ids = [int(nth(FIRST_ROLE, number)) for number in range(roles)]
    for position, role_id in enumerate([OTHER_ROLE, *role_ids], start=1):
        guild.roles[str(role_id)] = make_role(str(role_id), f"role-{position}", position)
    made = RoleWorld(world, guild, {role_id: [] for role_id in role_ids})
    for user_id in made.members:
        right = set(dice.sample(role_ids, dice.randint(0, min(8, roles))))
        for role_id in right:
            made.wanted[role_id].append(user_id)
        present = _with_errors(right, role_ids, dice) if dice.random() < wrong_share else right
        made.held += len(present)
        made.adds += len(right - present)
        made.removes += len(present - right)
        if present != right:
            made.wrong.add(user_id)
        guild.members.put(str(user_id), make_member([str(role) for role in (OTHER_ROLE, *sorted(present))]))
    made.absent = set(range(FIRST_ABSENT, FIRST_ABSENT + absent))
    for user_id in made.absent:
        for role_id in dice.sample(role_ids, min(2, roles)):
            made.wanted[role_id].append(user_id)
    return made


def _with_errors(right: set[int], role_ids: list[int], dice: random.Random) -> set[int]:
    present, kind = set(right), dice.randrange(3)
    if kind != 0 and present:
        present -= set(dice.sample(sorted(present), dice.randint(1, min(3, len(present)))))
    others = sorted(set(role_ids) - right)
    if (kind != 1 or present == right) and others:
        present |= set(dice.sample(others, dice.randint(1, min(3, len(others)))))
    return present

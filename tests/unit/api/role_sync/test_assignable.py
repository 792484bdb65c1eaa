"""The roles that a bot can assign: hierarchy, owner, managed and unknown roles."""

import pytest

from discordproxy_api.role_sync.assignable import TEXTS, GuildView, Why

GUILD, BOT, OWNER = "1", "90", "91"
MANAGE_ROLES, ADMINISTRATOR = 1 << 28, 1 << 3


def role(role_id, position, permissions=0, **more):
    return {"id": str(role_id), "position": position, "permissions": str(permissions), **more}


def view(*roles, held=(), owner=OWNER):
    guild = {"id": GUILD, "owner_id": owner, "roles": [role(GUILD, 0), *roles]}
    return GuildView(guild, {"user": {"id": BOT}, "roles": list(map(str, held))})


@pytest.mark.parametrize(
    ("permissions", "owner", "may"),
    [(MANAGE_ROLES, OWNER, True), (ADMINISTRATOR, OWNER, True), (0, OWNER, False), (0, BOT, True)],
    ids=["manage_roles", "administrator", "none", "owner"],
)
def test_permission(permissions, owner, may):
    assert view(role(5, 3, permissions), held=[5], owner=owner).may_manage_roles() is may


def test_only_roles_below_the_highest_own_one():
    guild = view(role(4, 3), role(5, 3), role(6, 3), role(7, 2), role(8, 4), held=[5, 7])
    # Of roles with one position, the older one is higher.
    assert guild.unassignable([4, 5, 6, 7, 8]) == {4: Why.HIERARCHY, 5: Why.HIERARCHY, 8: Why.HIERARCHY}
    assert view(role(8, 4), held=[], owner=BOT).unassignable([8]) == {}


def test_a_bot_without_roles_assigns_none():
    assert view(role(8, 1)).unassignable([8]) == {8: Why.HIERARCHY}


def test_roles_that_nobody_assigns():
    guild = view(role(5, 9), role(6, 1, managed=True), held=[5], owner=BOT)
    assert guild.unassignable([1, 6, 99, 5]) == {1: Why.EVERYONE, 6: Why.MANAGED, 99: Why.UNKNOWN_ROLE}
    assert guild.role_ids() == {1, 5, 6}


def test_every_reason_has_a_text_with_the_fix():
    assert TEXTS.keys() == set(Why)

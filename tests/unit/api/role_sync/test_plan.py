"""The plan of a role synchronization, against a plain definition of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discordproxy_api.role_sync.plan import MemberChange, RolePlanner

ROLES = st.sets(st.integers(1, 6))
MEMBERS = st.dictionaries(st.integers(1, 20), ROLES, max_size=12)
WANTED = st.dictionaries(st.integers(1, 6), st.sets(st.integers(1, 25)), min_size=1)


def planned(wanted, members, **options):
    planner = RolePlanner(wanted, **options)
    for role_id, user_ids in wanted.items():
        planner.want(role_id, user_ids)
    for user_id, roles in sorted(members.items()):
        planner.compare(user_id, roles)
    return planner.plan()


def after(change, current):
    return (set(current) - set(change.remove)) | set(change.add)


@given(WANTED, MEMBERS, st.sets(st.integers(1, 6)), st.booleans())
def test_the_plan_makes_every_member_as_wanted_and_changes_nothing_else(wanted, members, unassignable, exact):
    plan = planned(wanted, members, unassignable=unassignable, exact=exact)
    managed = wanted.keys() - unassignable
    changed = {user_id: set(roles) for user_id, roles in members.items()}
    for change in plan.changes:
        assert change
        assert not set(change.add) & members[change.user_id]
        assert set(change.remove) <= members[change.user_id]
        changed[change.user_id] = after(change, members[change.user_id])
    for user_id, roles in members.items():
        target = {role for role in managed if user_id in wanted[role]}
        assert changed[user_id] - managed == roles - managed
        assert changed[user_id] & managed == (target if exact else target | (roles & managed))
    assert plan.adds == sum(len(change.add) for change in plan.changes)
    assert plan.removes == sum(len(change.remove) for change in plan.changes)
    assert plan.held == sum(len(roles & managed) for roles in members.values())
    assert plan.listed == len(members)
    assert set(plan.not_in_guild) == set().union(*wanted.values()) - members.keys()


@given(WANTED, MEMBERS)
def test_a_second_plan_is_empty(wanted, members):
    first = planned(wanted, members)
    changed = {**members, **{change.user_id: after(change, members[change.user_id]) for change in first.changes}}
    assert planned(wanted, changed).changes == []


@given(ROLES, ROLES, ROLES)
def test_what_is_pending_depends_on_the_present_roles(add, remove, current):
    change = MemberChange(7, tuple(sorted(add)), tuple(sorted(remove - add)))
    pending = change.pending(current)
    assert after(pending, current) == after(change, current)
    assert not pending.pending(after(pending, current))
    assert len(pending) <= len(change)


def test_a_member_who_is_listed_twice_loses_nothing():
    planner = RolePlanner([1])
    planner.want(1, [7])
    for _ in range(2):
        planner.compare(7, {1})
    assert (planner.plan().changes, planner.plan().not_in_guild) == ([], ())


def test_changes_without_some_roles():
    change = MemberChange(7, (1, 2), (3,))
    assert change.without({2, 3}) == MemberChange(7, (1,))
    assert not change.without({1, 2, 3})
    assert len(change) == 3


@pytest.mark.parametrize(("held", "bound"), [(0, 5), (9, 5), (10, 6), (1_000, 105)])
def test_the_default_bound_is_five_and_a_tenth_of_what_members_hold(held, bound):
    assert planned({1: []}, {user_id: {1} for user_id in range(held)}).default_max_removals() == bound

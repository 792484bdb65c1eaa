"""Plans: what is changed, whose it is, and what is never touched."""

import pytest

from discordproxy_api.commands.documents import fingerprint, key_of
from discordproxy_api.commands.ownership import OwnedCommand, Ownership
from discordproxy_api.commands.planning import Action, plan_sync, reservations

NOW = 1_800_000_000.0
OLD = NOW - 100_000


def declared(name, description="x", kind=1):
    return {"name": name, "type": kind, **({"description": description} if kind == 1 else {})}


def listed(name, number, description="x", kind=1):
    return {**declared(name, description, kind), "id": str(number), "version": "1", "description": description}


def table(*owned, gone=(), in_guild=False):
    """`owned`: application, listed command; without an id it is pending."""
    fields = {}
    for app, command, *at in owned:
        mark = fingerprint(command, in_guild=in_guild)
        owner = OwnedCommand(app, command.get("id", ""), mark, mark if "id" in command else "", (at or [OLD])[0])
        fields[key_of(command)] = owner.encode()
    fields |= {f"gone:{number}": str(int(NOW)).encode() for number in gone}
    return Ownership(fields, in_guild=in_guild)


def plan(names, present, owners, **how):
    return plan_sync("shop", names, present, owners, now=NOW, **how)


def actions(made):
    return {(change.action.name, change.key, change.command_id) for change in made.changes}


def test_commands_are_created_updated_and_deleted():
    owners = table(("shop", listed("same", 1)), ("shop", listed("changed", 2)), ("shop", listed("gone", 3)))
    present = [listed("same", 1), listed("changed", 2), listed("gone", 3)]
    made = plan([declared("same"), declared("changed", "y"), declared("new")], present, owners)
    assert actions(made) == {
        ("UNCHANGED", "1:same", "1"),
        ("UPDATED", "1:changed", "2"),
        ("CREATED", "1:new", ""),
        ("DELETED", "1:gone", "3"),
    }
    assert [change.action for change in made.requests] == [Action.DELETED, Action.UPDATED, Action.CREATED]
    assert (made.conflicts, made.others, made.excess) == ([], [], None)


def test_commands_of_others_are_no_part_of_a_plan():
    present = [listed("bank", 1), listed("nobodys", 2)]
    made = plan([], present, table(("bank", listed("bank", 1))))
    assert (made.changes, list(made.others)) == ([], present)


@pytest.mark.parametrize("take_over", [False, True])
def test_a_name_of_another_application_is_a_conflict(take_over):
    made = plan([declared("bank")], [listed("bank", 1)], table(("bank", listed("bank", 1))), take_over=take_over)
    assert [(conflict.key, conflict.owner) for conflict in made.conflicts] == [("1:bank", "bank")]
    absent = plan([declared("bank")], [], table(("bank", listed("bank", 1))), take_over=take_over)
    assert [conflict.owner for conflict in absent.conflicts] == ["bank"]


def test_a_command_that_another_application_owns_under_another_name_is_a_conflict():
    owners = table(("bank", listed("former", 1)))
    made = plan([declared("bank")], [listed("bank", 1)], owners, take_over=True)
    assert [conflict.owner for conflict in made.conflicts] == ["bank"]


def test_a_command_of_no_application_is_adopted_if_it_is_equal():
    made = plan([declared("shop")], [listed("shop", 1)], table())
    assert actions(made) == {("ADOPTED", "1:shop", "1")}


def test_a_different_command_of_no_application_is_a_conflict_or_taken_over():
    present = [listed("shop", 1, "y")]
    assert [conflict.owner for conflict in plan([declared("shop")], present, table()).conflicts] == [""]
    made = plan([declared("shop")], present, table(), take_over=True)
    assert actions(made) == {("UPDATED", "1:shop", "1")}
    assert [change.field for change in reservations(made, table(), NOW)] == ["1:shop"]


def test_names_of_different_types_do_not_conflict():
    owners = table(("bank", listed("report", 1, "", 3)))
    made = plan([declared("report", kind=2)], [listed("report", 1, "", 3)], owners)
    assert actions(made) == {("CREATED", "2:report", "")}


def test_a_pending_command_is_recognized_by_its_content():
    owners = table(("shop", declared("shop")))
    assert actions(plan([declared("shop")], [listed("shop", 1)], owners)) == {("UNCHANGED", "1:shop", "1")}
    assert actions(plan([], [listed("shop", 1)], owners)) == {("DELETED", "1:shop", "1")}


def test_a_pending_command_with_another_content_is_updated_but_not_deleted():
    created = str((int((OLD - 1_420_070_400) * 1000)) << 22)
    owners = table(("shop", declared("shop")))
    present = [listed("shop", created, "changed by Discord")]
    assert actions(plan([declared("shop")], present, owners)) == {("UPDATED", "1:shop", created)}
    made = plan([], present, owners)
    assert (made.changes, list(made.forgotten)) == ([], ["1:shop"])
    older = [listed("shop", 7, "of somebody else")]
    assert [conflict.owner for conflict in plan([declared("shop")], older, owners).conflicts] == [""]


def test_a_pending_command_that_is_not_listed_is_kept_for_a_while():
    young = table(("shop", declared("shop"), NOW - 60))
    assert (plan([], [], young).changes, plan([], [], young).forgotten) == ([], [])
    assert plan([], [], table(("shop", declared("shop")))).forgotten == ["1:shop"]
    assert [each.owner for each in plan([declared("shop")], [], table(("bank", declared("shop")))).conflicts] == [
        "bank"
    ]


def test_an_owned_command_that_is_not_listed_is_deleted_by_its_id():
    owners = table(("shop", listed("shop", 1)))
    assert actions(plan([], [], owners)) == {("DELETED", "1:shop", "1")}
    assert actions(plan([declared("shop")], [], owners)) == {("CREATED", "1:shop", "")}


def test_a_command_with_an_id_that_is_not_ours_is_not_deleted():
    owners = table(("shop", listed("shop", 1)))
    made = plan([], [listed("shop", 2)], owners)
    assert actions(made) == {("DELETED", "1:shop", "1")}
    assert [other["id"] for other in made.others] == ["2"]


def test_a_deleted_command_in_an_old_list_does_not_exist():
    made = plan([declared("shop")], [listed("shop", 1)], table(gone=(1,)))
    assert actions(made) == {("CREATED", "1:shop", "")}
    assert list(made.others) == []


def test_six_changes_are_one_request():
    names = [declared(f"c{number}") for number in range(6)]
    assert not plan(names[:5], [], table()).replaces_all
    assert plan(names, [], table()).replaces_all
    assert plan(names, [listed("bank", 1)], table(("bank", listed("bank", 1)))).replaces_all
    assert plan(names, [listed("nobodys", 1)], table()).replaces_all
    assert not plan(names, [], table(), deletes=False).replaces_all


@pytest.mark.parametrize(
    "present",
    [[], [listed("bank", 1, "y")], [listed("bank", 2)]],
    ids=["not listed", "another content", "another id"],
)
def test_a_list_that_contradicts_the_records_of_others_is_not_written(present):
    names = [declared(f"c{number}") for number in range(6)]
    assert not plan(names, present, table(("bank", listed("bank", 1)))).replaces_all


def test_a_list_is_not_written_while_a_creation_of_others_is_pending():
    names = [declared(f"c{number}") for number in range(6)]
    assert not plan(names, [], table(("bank", declared("bank")))).replaces_all


def test_the_limits_count_the_commands_of_all():
    present = [listed(f"b{number}", number) for number in range(1, 100)]
    assert plan([declared("one")], present, table()).excess is None
    excess = plan([declared("one"), declared("two")], present, table()).excess
    assert (excess.type, excess.declared, excess.others) == (1, 2, 99)
    full = [*present, listed("own", 100)]
    owners = table(("shop", listed("own", 100)))
    assert plan([declared("one")], full, owners).excess is None  # it replaces the other one
    assert plan([declared("one"), declared("own")], full, owners).excess.others == 99


def test_reservations_precede_creations_only():
    owners = table(("shop", listed("changed", 2)), ("shop", listed("gone", 3)))
    made = plan([declared("changed", "y"), declared("new")], [listed("changed", 2), listed("gone", 3)], owners)
    (change,) = reservations(made, owners, NOW)
    assert (change.field, change.before) == ("1:new", b"")
    assert OwnedCommand.decode(change.after) == OwnedCommand(
        "shop", "", fingerprint(declared("new"), in_guild=False), "", NOW
    )


def test_what_discord_makes_of_a_declaration_is_remembered():
    """Discord may store another content than was declared; this must not cause an update at each start."""
    owners = table()
    record = owners.record_of("shop", declared("shop", "a"), listed("shop", 1, "b"), NOW)
    known = Ownership({"1:shop": record.encode()}, in_guild=False)
    assert actions(plan([declared("shop", "a")], [listed("shop", 1, "b")], known)) == {("UNCHANGED", "1:shop", "1")}
    assert actions(plan([declared("shop", "c")], [listed("shop", 1, "b")], known)) == {("UPDATED", "1:shop", "1")}
    assert actions(plan([declared("shop", "a")], [listed("shop", 1, "c")], known)) == {("UPDATED", "1:shop", "1")}


def test_restrictions_that_discord_has_not_kept_are_declared_again():
    """As in discord-api-docs#4838: a replaced list lost default_member_permissions, and everybody had the command."""
    owners, wanted = table(), {**declared("shop"), "default_member_permissions": "0"}
    record = owners.record_of("shop", wanted, listed("shop", 1), NOW)
    known = Ownership({"1:shop": record.encode()}, in_guild=False)
    assert actions(plan([wanted], [listed("shop", 1)], known)) == {("UPDATED", "1:shop", "1")}


def test_restrictions_that_discord_adds_cause_no_update_at_each_start():
    owners, version = table(), {**listed("shop", 1), "contexts": [0]}
    known = Ownership({"1:shop": owners.record_of("shop", declared("shop"), version, NOW).encode()}, in_guild=False)
    assert actions(plan([declared("shop")], [version], known)) == {("UNCHANGED", "1:shop", "1")}


def test_records_of_a_later_form_are_ignored():
    assert OwnedCommand.decode(b"no JSON") is None
    assert OwnedCommand.decode(b'["shop"]') is None
    assert OwnedCommand.decode(b'["shop","1","a","b",5,"more"]') == OwnedCommand("shop", "1", "a", "b", 5.0)

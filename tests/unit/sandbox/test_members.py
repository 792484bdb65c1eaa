from itertools import islice

import pytest

from discordproxy_sandbox.world.members import Members


@pytest.fixture
def members() -> Members:
    """Ids 100 to 104 exist as a rule; 50, 102 and 200 are stored."""
    found = Members(lambda number: {"nick": f"generated {number}"}, 100, 5)
    for user_id in ("50", "102", "200"):
        found.put(user_id, {"nick": f"stored {user_id}"})
    return found


def test_stored_and_generated_members_come_in_order(members):
    assert list(members) == ["50", "100", "101", "102", "103", "104", "200"]
    assert len(members) == 7
    assert members.get("101") == {"nick": "generated 101"}
    assert members.get("102") == {"nick": "stored 102"}
    assert members.get("105") is None


@pytest.mark.parametrize(
    ("after", "expected"), [("0", "50"), ("50", "100"), ("100", "101"), ("103", "104"), ("104", "200"), ("199", "200")]
)
def test_pages_start_behind_an_id(members, after, expected):
    assert next(members.after(after)) == expected


def test_nothing_follows_the_last_member(members):
    assert list(members.after("200")) == []


@pytest.mark.parametrize("user_id", ["50", "101", "102"])
def test_removed_members_are_gone_and_may_come_back(members, user_id):
    assert members.remove(user_id)
    assert not members.remove(user_id)
    assert user_id not in members
    assert user_id not in list(members)
    assert len(members) == 6
    members.put(user_id, {"nick": "back"})
    assert members.get(user_id) == {"nick": "back"}
    assert len(members) == 7


def test_a_million_members_cost_nothing():
    members = Members(lambda number: {"number": number}, 1, 1_000_000)
    assert len(members) == 1_000_000
    assert list(islice(members.after("999990"), 3)) == ["999991", "999992", "999993"]

"""The decorator that runs a table in one test names every case that fails."""

import pytest

from fakes.every_case import every_case


def test_all_cases_run_and_each_failure_is_named():
    seen = []

    @every_case("number", [1, 2, 3, 4])
    def check(number, tmp_path):
        seen.append((number, tmp_path))
        if number == 3:
            raise KeyError("three")
        assert number != 2

    with pytest.raises(pytest.fail.Exception) as failed:
        check(tmp_path="folder")
    assert seen == [(1, "folder"), (2, "folder"), (3, "folder"), (4, "folder")]
    lines = failed.value.msg.splitlines()
    assert lines[0] == "2 of 4 cases failed:"
    assert [line[:3] for line in lines if line.startswith("[")] == ["[2]", "[3]"]
    assert "KeyError: 'three'" in lines


def test_tables_are_combined():
    seen = []

    @every_case("left", ["a", "b"], ids=repr)
    @every_case(("middle", "right"), [(1, 2), (3, 4)])
    def check(left, middle, right):
        seen.append((left, middle, right))
        pytest.fail("always")

    with pytest.raises(pytest.fail.Exception) as failed:
        check()
    assert seen == [("a", 1, 2), ("a", 3, 4), ("b", 1, 2), ("b", 3, 4)]
    assert all(f"[{name}] " in failed.value.msg for name in ("'a'", "'b'", "1-2", "3-4"))


@every_case("number", [1, 2])
async def test_coroutines_are_awaited_and_get_fixtures(number, tmp_path):
    assert not (tmp_path / str(number)).exists()
    (tmp_path / str(number)).touch()
    assert len(list(tmp_path.iterdir())) == number


def test_the_time_limit_ends_all_cases():
    seen = []

    @every_case("number", [1, 2])
    def check(number):
        seen.append(number)
        pytest.fail("Timeout (>120.0s) from pytest-timeout.")

    with pytest.raises(pytest.fail.Exception, match="Timeout"):
        check()
    assert seen == [1]


def test_an_empty_table_is_an_error():
    with pytest.raises(AssertionError, match="no cases"):
        every_case("number", [])

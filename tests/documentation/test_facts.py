"""Facts that pages repeat are those of the code: statuses, permissions, packages, sandbox IDs."""

import re

import pytest
import tomllib

from discordproxy_api.cached.permission_names import NAMES
from discordproxy_api.calls.errors import status_of
from discordproxy_sandbox.world import population
from documentation.snippets import ROOT


def page(name):
    return (ROOT / "docs" / name).read_text()


def test_the_table_of_statuses_is_that_of_the_server():
    table = page("developer.md").partition("| HTTP status of Discord |")[2].partition("\n\n")[0]
    rows = dict(re.findall(r"^\| (.+?) \| ([A-Z_]+) \|$", table, re.MULTILINE))
    stated = {int(number): status for numbers, status in rows.items() for number in re.findall(r"\d{3}", numbers)}
    assert stated == {number: status_of(number) for number in stated}
    assert rows["other 5xx"] == status_of(500) == status_of(503)
    assert rows["400, 405, other 4xx"] == status_of(418)
    assert len(stated) == 10


def test_the_permissions_of_the_invitation_are_the_computed_ones():
    text = page("bot.md")
    program = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    names = {}
    exec(program.replace("print(", "total = ("), names)
    assert f"permissions={names['total']}" in text
    bits = {name: bit for bit, name in NAMES.items()}
    assert names["PERMISSIONS"].items() <= bits.items()
    table = text.partition("| your application | also needs |")[2].partition("\n\n")[0]
    named = [
        (words, int(bit))
        for row in table.splitlines()
        for words, bit in re.findall(r"([A-Z][a-z]+(?: [A-Z][a-z]+)*) \((?:bit )?(\d+)\)", row)
    ]
    assert len(named) >= 9
    assert {words: bits[words.upper().replace(" ", "_")] for words, _ in named} == dict(named)


def packages():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    required = [*project["dependencies"], *(one for name in ("server", "embedded", "otel") for one in extras[name])]
    return sorted({re.match(r"[\w.-]+", each)[0] for each in required})


@pytest.mark.parametrize("name", packages())
def test_every_package_has_its_reason(name):
    row = re.search(rf"^\| `{re.escape(name)}` \| (.+?) \| (.+?) \| (.+?) \|$", page("dependencies.md"), re.MULTILINE)
    assert row, f"{name} is not in docs/dependencies.md"


def test_no_page_names_a_package_that_is_not_required():
    assert set(re.findall(r"^\| `([\w.-]+)` \|", page("dependencies.md"), re.MULTILINE)) == set(packages())


def test_the_ids_of_the_sandbox_exist():
    table = page("start.md").partition("| what | IDs |")[2]
    for first in (population.GUILD_ID, population.CHANNEL_ID, population.USER_ID, population.ROLE_ID):
        assert first in table
    for number, (name, kind) in enumerate(population.CHANNELS):
        if kind in {0, 5}:
            assert re.search(rf"0{number + 1} `#{name}`", table)

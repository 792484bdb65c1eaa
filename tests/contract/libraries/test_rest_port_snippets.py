"""The REST port's page has a snippet for each library that `make libraries` runs, and no other."""

import ast
from pathlib import Path

import pytest

from libraries.run import BOTS, PROGRAMS
from libraries.snippets import ADDRESS, WAIT, snippets
from libraries.stage import PROGRAMS as FOLDER

NOXFILE = Path(__file__).parents[3] / "noxfile.py"


def test_each_library_has_a_snippet_and_a_session() -> None:
    assert snippets().keys() == PROGRAMS.keys() | BOTS.keys()
    text = NOXFILE.read_text()
    for name in PROGRAMS.keys() | BOTS.keys():
        assert f'"{name}"' in text


@pytest.mark.parametrize("library", sorted(snippets()))
def test_a_snippet_waits_and_names_the_port_once(library: str) -> None:
    text = snippets()[library]
    assert text.count(ADDRESS) == 1
    assert f"{ADDRESS}{WAIT}" in text
    if PROGRAMS.get(library, BOTS.get(library, "")).endswith(".py"):
        ast.parse(text)


def test_every_program_belongs_to_a_library() -> None:
    found = {path.name for path in FOLDER.iterdir() if path.is_file()}
    of_commands = {"commands_discord_py.py", "commands_discordjs.mjs"}  # run by share_commands.py
    assert found == {*PROGRAMS.values(), *BOTS.values(), *of_commands, "driver.py", "driver.mjs"}

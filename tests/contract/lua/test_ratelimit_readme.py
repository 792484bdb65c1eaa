"""The tests that the broker's README names exist."""

import re
from pathlib import Path

TESTS = Path(__file__).parents[2]
README = TESTS.parent / "ratelimit" / "README.md"


def named() -> list[tuple[str, str]]:
    """File and function of each test the page names; `::name` alone goes on in the file named before."""
    found, file = [], ""
    for path, _, function in re.findall(r"`([\w/]+\.py)?(::(\w+))?`", README.read_text()):
        if not path and not function:
            continue
        file = path or file
        if Path(file).name.startswith("test_"):
            found.append((file, function))
    return found


def test_every_test_that_is_named_exists() -> None:
    assert len(named()) > 30
    for file, function in named():
        text = (TESTS / file).read_text()
        assert not function or re.search(rf"^(async )?def {function}\(", text, re.MULTILINE), f"{file}::{function}"


def test_every_module_that_is_named_exists() -> None:
    package = README.parent / "discordproxy_ratelimit"
    names = re.findall(r"`((?:\w+/)*(?!test_)\w+\.(?:py|lua))`", README.read_text())
    assert len(names) > 5
    for name in names:
        assert (package / name).is_file(), name

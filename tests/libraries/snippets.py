"""Reads the snippets of docs/rest-port.md: each starts with a comment that names its library."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "rest-port.md"
ADDRESS = "http://127.0.0.1:50052"
WAIT = "/wait=240"

_BLOCK = re.compile(r"^```(?:python|js|go)\n(?://|#) ([^:\n]+)(?::[^\n]*)?\n(.*?)^```", re.MULTILINE | re.DOTALL)
_NAMES = re.compile(r"^const (rest|client) =", re.MULTILINE)


def snippets() -> dict[str, str]:
    """Return the snippets of the page by library."""
    return dict(_BLOCK.findall(PAGE.read_text()))


def written(library: str, folder: Path, url: str, *, waits: bool = True) -> Path | None:
    """Write a library's snippet with another address into its folder; return None if the page has none.

    Args:
        waits: keep the option `wait` of the snippet's address.
    """
    text = snippets().get(library)
    if text is None:
        return None
    assert ADDRESS in text, f"the snippet of {library} contains {ADDRESS}"
    exported = _NAMES.findall(text)
    suffix = ".go" if text.startswith("package ") else ".mjs" if exported else ".py"
    path = (folder / "snippet").with_suffix(suffix)
    address = ADDRESS if waits else f"{ADDRESS}{WAIT}"
    path.write_text(text.replace(address, url) + "".join(f"export {{ {name} }};\n" for name in exported))
    return path

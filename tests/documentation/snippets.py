"""The fenced code blocks of the documentation, with the markers that state how they are checked."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
MARKERS = ("not run", "from", "with")
_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>[\w-]*)[^\n]*\n(?P<code>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
_MARKER = re.compile(rf"<!-- (?P<kind>{'|'.join(MARKERS)}): (?P<text>[^>]+?) -->\s*\Z")

RUN = {
    "python": "python",
    "py": "python",
    "bash": "shell",
    "sh": "shell",
    "javascript": "javascript",
    "js": "javascript",
}
PARSED = ("toml", "ini", "json", "yaml")
SHOWN = ("text",)
"""Output and diagrams."""


@dataclass(frozen=True)
class Snippet:
    """A code block.

    Attributes:
        page: path in the repository.
        line: number of its first line.
        language: as the fence has it.
        kind: of its marker, "" without one: "not run" with the reason, "from" with the path of the file that contains
            it, "with" and the name of the companion that runs it.
        text: of the marker.
    """

    page: str
    line: int
    language: str
    code: str
    kind: str = ""
    text: str = ""

    @property
    def place(self) -> str:
        """Page and line."""
        return f"{self.page}:{self.line}"

    @property
    def check(self) -> str:
        """How the block is checked."""
        if self.kind in {"not run", "from"}:
            return self.kind
        if self.language in PARSED:
            return "parsed"
        return "text" if self.language in SHOWN else RUN.get(self.language, "")


def documents() -> list[Path]:
    """Return the pages whose code blocks are checked."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def snippets_of(path: Path) -> list[Snippet]:
    """Return the code blocks of a page in their order."""
    text = path.read_text(encoding="utf-8")
    return [_snippet(path, text, found) for found in _FENCE.finditer(text)]


def _snippet(path: Path, text: str, found: re.Match[str]) -> Snippet:
    marker = _MARKER.search(text[: found.start()])
    return Snippet(
        page=str(path.relative_to(ROOT)),
        line=text[: found.start()].count("\n") + 2,
        language=found["language"],
        code=re.sub(rf"^{found['indent']}", "", found["code"], flags=re.MULTILINE),
        kind=marker["kind"] if marker else "",
        text=marker["text"] if marker else "",
    )


def snippets() -> list[Snippet]:
    """Return all code blocks."""
    return [snippet for path in documents() for snippet in snippets_of(path)]

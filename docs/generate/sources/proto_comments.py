"""Reads the comments of proto files. The descriptors in Python packages do not contain them."""

import re
from collections.abc import Iterable
from pathlib import Path

_BLOCK = re.compile(r"^(message|enum|service|oneof|extend|rpc)\s+([\w.]+)")
_MEMBER = re.compile(r"^(?:repeated\s+|optional\s+)?(?:map<[^>]*>\s+|[\w.]+\s+)?(\w+)\s*=\s*-?\d+")
_NAMELESS = {"oneof", "extend"}
"""Blocks whose members belong to the enclosing scope."""


def read_comments(paths: Iterable[Path]) -> dict[str, str]:
    """Return the comments of services, RPCs, messages, fields, enums and values by full name.

    The comment of an element is the block of lines above it and the text at the end of its line.
    """
    found: dict[str, str] = {}
    for path in paths:
        found |= _Reader(path.read_text(encoding="utf-8")).read()
    return found


class _Reader:
    def __init__(self, text: str) -> None:
        self._lines = text.splitlines()
        self._package = re.search(r"^package ([\w.]+);", text, re.MULTILINE)
        self._scope: list[tuple[str, str]] = []
        self._above: list[str] = []
        self._found: dict[str, str] = {}

    def read(self) -> dict[str, str]:
        """Return the comments by full name."""
        for line in self._lines:
            self._read_line(line.strip())
        return self._found

    def _read_line(self, line: str) -> None:
        if line.startswith("//"):
            self._above.append(line.removeprefix("//").strip())
            return
        code, beside = (part.strip() for part in (*re.split(r"(?<!:)//", line, maxsplit=1), "")[:2])
        if code and (name := self._name_of(code)):
            self._note(name, beside)
        self._above = []
        self._follow(code)

    def _name_of(self, code: str) -> str | None:
        if block := _BLOCK.match(code):
            return None if block[1] in _NAMELESS else block[2]
        member = _MEMBER.match(code)
        return member[1] if member and self._scope else None

    def _note(self, name: str, beside: str) -> None:
        scope = [each for kind, each in self._scope if kind not in _NAMELESS]
        full = ".".join([self._package[1] if self._package else "", *scope, name])
        self._found[full] = " ".join(filter(None, [*self._above, beside]))

    def _follow(self, code: str) -> None:
        block = _BLOCK.match(code)
        for brace in re.findall(r"[{}]", re.sub(r'"[^"]*"', "", code)):
            if brace == "}":
                self._scope.pop()
            else:
                self._scope.append((block[1], block[2]) if block else ("option", ""))
                block = None

"""Adapts files of the repository to the site: links between files, and Markdown that GitHub reads more generously."""

import posixpath
import re
from collections.abc import Mapping

_LINK = re.compile(r"(?<=\]\()(?!https?:|#|mailto:)([^)#\s]+)((?:#[^)\s]*)?)(?=\))")
_FENCE = re.compile(r"(^ *```.*?^ *```$|`[^`\n]+`)", re.MULTILINE | re.DOTALL)


def rewritten(text: str, source: str, pages: Mapping[str, str], *, repository: str, exists: Mapping[str, bool]) -> str:
    """Return a page's text with links that work on the site.

    Args:
        text: Markdown.
        source: path of the page's file in the repository.
        pages: pages of the site by the path of their file in the repository.
        repository: address of the repository, for files that are no pages.
        exists: paths in the repository, with whether each is a folder.
    """
    here = pages[source]

    def link(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), found[1]))
        if target in pages:
            return posixpath.relpath(pages[target], posixpath.dirname(here) or ".") + found[2]
        if target.startswith("docs/"):  # a picture
            return posixpath.relpath(target.removeprefix("docs/"), posixpath.dirname(here) or ".")
        if target not in exists:
            return found[0]  # the site generator reports it
        return f"{repository}/{'tree' if exists[target] else 'blob'}/main/{target}{found[2]}"

    parts = _FENCE.split(text)
    return "".join(
        part if part.startswith("`") or part.lstrip().startswith("```") else _LINK.sub(link, part) for part in parts
    )


_ITEM = re.compile(r"(?:[-*]|\d{1,2}\.) |\|")
_NUMBER = re.compile(r"^( *\d{3,})\. ")


def normalized(text: str) -> str:
    """Return Markdown with an empty line before each list and table, and without numbers that would begin a list."""
    lines: list[str] = []
    fenced = False
    for line in text.splitlines():
        fenced ^= line.lstrip().startswith("```")
        before = lines[-1] if lines else ""
        if not fenced and _ITEM.match(line) and before.strip() and not _ITEM.match(before) and before[0] != " ":
            lines.append("")
        lines.append(line if fenced else _NUMBER.sub(r"\1\\. ", line))
    return "\n".join(lines) + "\n"

"""The reference of keys, metrics and HTTP paths: their tables from the pages that explain them, with types."""

import re
from collections.abc import Iterable, Sequence

from discordproxy_api.access.keys import KeyEntry
from markup import cell, table
from reference.settings_page import values
from sources.contract_source import ROOT

_ROW = re.compile(r"^\| (.+) \|$", re.MULTILINE)


def pages() -> dict[str, str]:
    """Return the pages by path below the folder of the documentation."""
    return {
        "reference/keys.md": _keys(),
        "reference/metrics.md": _metrics(),
        "reference/http.md": _http(),
    }


def rows(document: str, head: str) -> list[list[str]]:
    """Return the rows of the table of a page that has this head."""
    text = (ROOT / "docs" / document).read_text(encoding="utf-8")
    body = text.partition(f"\n{head}\n")[2].partition("\n\n")[0]
    return [re.split(r"(?<!\\) *\| *", row) for row in _ROW.findall(body)]


def _keys() -> str:
    """Return the page of the settings of a key; a test compares the table with the code."""
    found = []
    for names, meaning, default in rows("security.md", "| setting | meaning | default |"):
        kinds = [values(KeyEntry.model_fields[name]) for name in re.findall(r"`(\w+)`", names)]
        found.append((names, cell(kinds[0]), _linked(meaning, "security.md"), default))
    return (
        "# Keys and their scopes\n\nOne table `[[keys]]` of the file that `DISCORDPROXY_KEYS_FILE` names. "
        "[Security](../security.md#keys) explains keys and has an example.\n\n"
        + table(("setting", "values", "meaning", "default"), found)
    )


def _linked(text: str, page: str) -> str:
    """Return text of a page of `docs/` with links that work on a page of the reference."""
    return re.sub(r"\]\((?!https?:|#)", "](../", text).replace("](#", f"](../{page}#")


def _linked_rows(found: Iterable[Sequence[str]], page: str) -> list[tuple[str, ...]]:
    return [tuple(_linked(each, page) for each in row) for row in found]


def _metrics() -> str:
    """Return the page of metrics; a test compares the table with what workers export."""
    found = rows("operations.md", "| metric | type | labels | meaning |")
    return (
        "# Metrics\n\nEvery worker exports its own at `/metrics` of its HTTP port: aggregate with `sum`, those of the "
        "gateway with `max`. [Operations](../operations.md#metrics) explains them.\n\n"
        + table(("metric", "type", "labels", "meaning"), _linked_rows(found, "operations.md"))
    )


def _http() -> str:
    """Return the page of HTTP paths and of the REST port's answers."""
    paths = table(("path", "content"), _linked_rows(rows("operations.md", "| path | content |"), "operations.md"))
    answers = table(("status", "case"), _linked_rows(rows("rest-port.md", "| status | case |"), "rest-port.md"))
    options = table(
        ("in the path", "header", "meaning"),
        _linked_rows(rows("rest-port.md", "| in the path | header | meaning |"), "rest-port.md"),
    )
    return (
        "# HTTP\n\n## The port for operators\n\n`DISCORDPROXY_HTTP_PORT`, one for each worker; "
        f"[operations](../operations.md#status-page).\n\n{paths}\n"
        "## The REST port\n\n`DISCORDPROXY_REST_PORT`: all of Discord's API below `/api/v10`, and `/livez`, `/readyz`; "
        f"[any library](../rest-port.md).\n\n### Options\n\n{options}\n### The proxy's own answers\n\n{answers}"
    )

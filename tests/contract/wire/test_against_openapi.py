"""The contract types everything that Discord describes, except the listed gaps: new parts of the description show up.

Run as a program, it removes parts that are typed now from the list and writes docs/not-typed.md.
"""

import copy
import json
import re
from pathlib import Path

import pytest
import tomllib

from discordproxy_api.contract.contract import load_contract
from strategies.discord_spec import FOLDER, openapi
from strategies.openapi_gaps import COVERED, find_gaps

ROOT = Path(__file__).resolve().parents[3]
LIST = Path(__file__).with_name("accepted_gaps.toml")
PAGE = ROOT / "docs/not-typed.md"
CHECKS = "that everything in Discord's OpenAPI description is typed or listed as a gap"
REPAIR = f"run: PYTHONPATH=tests .venv/bin/python {Path(__file__).relative_to(ROOT)}"
CONTRACT = load_contract()
TYPED = {f"{rpc.method} {rpc.template}" for rpc in CONTRACT.values() if rpc.method}
TYPED |= {operation for operation, name in COVERED.items() if name in CONTRACT}


def accepted() -> dict[str, list[dict[str, object]]]:
    return tomllib.loads(LIST.read_text())


def parts(kind: str) -> list[str]:
    return [part for group in accepted()[kind] for part in group["parts"]]


@pytest.mark.parametrize("kind", ["operations", "fields"])
def test_every_gap_is_listed_once_and_with_a_reason(kind):
    assert len(parts(kind)) == len(set(parts(kind)))
    assert all(group["reason"] and group["title"] and group["parts"] for group in accepted()[kind])


def test_no_typed_operation_is_listed_as_a_gap():
    typed = sorted(TYPED & set(parts("operations")))
    assert not typed, f"these operations are typed now; {REPAIR}\n" + "\n".join(typed)


@pytest.mark.parametrize("kind", ["operations", "fields"])
def test_every_gap_is_listed(kind):
    gaps, listed = getattr(find_gaps(openapi(CHECKS), CONTRACT), kind), set(parts(kind))
    new, gone = sorted(gaps - listed), sorted(listed - gaps)
    where = LIST.relative_to(ROOT)
    assert not new, f"neither typed nor listed: type them, or add them to {where} with a reason\n" + "\n".join(new)
    assert not gone, f"listed, but typed now or no longer described; {REPAIR}\n" + "\n".join(gone)


def test_the_page_is_current():
    assert PAGE.read_text() == page(), f"docs/not-typed.md is out of date; {REPAIR}"


GUILD = "/guilds/{guild_id}"
CHANGES = {
    "an operation": (
        lambda spec: spec["paths"].update({"/new": {"get": {"responses": {}}}}),
        "operations",
        "GET /new",
    ),
    "a method": (lambda spec: spec["paths"][GUILD].update({"post": {"responses": {}}}), "operations", f"POST {GUILD}"),
    "a query parameter": (
        lambda spec: spec["paths"][GUILD]["get"]["parameters"].append({"in": "query", "name": "new", "schema": {}}),
        "fields",
        "GetGuildRequest.new",
    ),
    "a field of a body": (
        lambda spec: _properties(spec, "CreateRoleRequest").update({"new": {}}),
        "fields",
        "CreateRoleRequest.new",
    ),
    "a field of a nested body": (
        lambda spec: _properties(spec, "RichEmbedFooter").update({"new": {}}),
        "fields",
        "Embed.Footer.new",
    ),
    "a field of a response": (
        lambda spec: _properties(spec, "GuildRoleResponse").update({"new": {}}),
        "fields",
        "Role.new",
    ),
    "a field of a forwarded message": (
        lambda spec: _properties(spec, "MinimalContentMessageResponse").update({"new": {}}),
        "fields",
        "Message.new",
    ),
    "a value of an enum": (
        lambda spec: spec["components"]["schemas"]["MessageType"]["oneOf"].append({"title": "NEW", "const": 999}),
        "fields",
        "Message.Type=999",
    ),
    "a value of an enum with other numbers": (
        lambda spec: spec["components"]["schemas"]["ChannelTypes"]["oneOf"].append({"title": "NEW", "const": 99}),
        "fields",
        "Channel.Type=99",
    ),
}


def _properties(spec, schema):
    return spec["components"]["schemas"][schema]["properties"]


@pytest.mark.parametrize("name", CHANGES)
def test_a_newer_description_shows_what_is_new(name):
    change, kind, part = CHANGES[name]
    spec = copy.deepcopy(openapi(CHECKS))
    change(spec)
    assert part in getattr(find_gaps(spec, CONTRACT), kind) - set(parts(kind))


def page() -> str:
    """Return the documentation's page, made from the list."""
    listed = accepted()
    count = sum(len(group["parts"]) for group in listed["operations"])
    lines = [
        "# What is not typed",
        "",
        f"<!-- Generated from {LIST.relative_to(ROOT)}; {REPAIR} -->",
        "",
        f"Discord Proxy has {len(CONTRACT)} typed RPCs. {count} operations of Discord have none. The RPC `Request`",
        "(`client.request` in Python) calls any of them, with the same limits, retries and keys. A contract test",
        "compares this page with Discord's OpenAPI description.",
        "",
        "## Operations",
        "",
    ]
    for group in listed["operations"]:
        lines += [f"### {group['title']}", "", str(group["reason"]), ""]
        lines += [f"- `{part}`" for part in group["parts"]] + [""]
    lines += [
        "## Fields",
        "",
        "Fields of typed messages that Discord describes and the contract omits. Events contain them in `json`, and",
        "`Request` sends and returns them.",
        "",
        "| fields | reason |",
        "|---|---|",
    ]
    for group in listed["fields"]:
        lines.append(f"| {', '.join(f'`{part}`' for part in group['parts'])} | {group['reason']} |")
    return "\n".join(lines) + "\n"


def repair() -> None:
    """Remove the parts that are no gaps any more from the list, and write the page."""
    gone = TYPED & set(parts("operations"))
    description = FOLDER / "openapi.json"
    if description.exists():
        gaps = find_gaps(json.loads(description.read_bytes()), CONTRACT)
        gone |= (set(parts("operations")) - gaps.operations) | (set(parts("fields")) - gaps.fields)
    lines = [line for line in LIST.read_text().splitlines() if line.strip().strip('",') not in gone]
    text = "\n".join(lines) + "\n"
    text = re.sub(r"\[\[\w+\]\]\ntitle = .*\nreason = .*\nparts = \[\n\]\n", "", text)
    LIST.write_text(re.sub(r"\n{3,}", "\n\n", text).rstrip("\n") + "\n")
    PAGE.write_text(page())


if __name__ == "__main__":
    repair()

"""The generated reference is complete: RPCs, fields, Python API, settings, commands, endpoints, reasons, findings."""

import ast
import importlib
import inspect
import re
from functools import cache
from pathlib import Path
from typing import get_args

import pytest

import prepare
from contract.test_operations import exported
from discordproxy_api.access.keys import KeyEntry
from discordproxy_api.calls.call import Status
from discordproxy_api.http.pages import _FILES
from discordproxy_api.status import explain, findings
from discordproxy_api.status.health import HEALTH_PATHS
from fakes.every_case import every_case
from reference import command_page, error_pages, python_pages, rpc_pages, settings_page
from sources import contract_source as contract
from sources.proto_comments import read_comments

ROOT = Path(__file__).parents[2]


@cache
def generated() -> dict[str, str]:
    return prepare.generated()


def section(path: str, name: str) -> str:
    """Return the part of a page below the heading of an element."""
    pattern = rf"^##.* \{{: #{re.escape(name)} \}}\n(.*?)(?=^## |\Z)"
    found = re.search(pattern, generated()[path], re.MULTILINE | re.DOTALL)
    assert found, f"{path} has no section {name}"
    return found[1]


@every_case("method", contract.methods(), ids=lambda method: method.name)
def test_every_rpc_is_described(method):
    comment = contract.comments()[method.full_name]
    assert comment, f"{method.full_name} has no comment in the proto"
    (group,) = (group for group, found in rpc_pages.groups().items() if method in found)
    text = section(f"reference/rpc/{group}.md", rpc_pages.anchor(method.name))
    assert rpc_pages.escaped(comment) in text
    assert contract.http_route(method) in text
    assert f"#{rpc_pages.anchor(method.name)})" in generated()["reference/rpc/index.md"]


@pytest.mark.parametrize("file", contract.files(), ids=contract.stem)
def test_every_field_and_value_is_listed(file):
    path = f"reference/messages/{contract.stem(file)}.md"
    for message in contract.messages(file):
        text = section(path, rpc_pages.anchor(rpc_pages.short(message)))
        assert set(re.findall(r"^\| (\d+) \| `(\w+)`", text, re.MULTILINE)) == {
            (str(field.number), field.name) for field in message.fields
        }
    for enum in contract.enums(file):
        text = section(path, rpc_pages.anchor(rpc_pages.short(enum)))
        assert set(re.findall(r"^\| (\d+) \| `(\w+)`", text, re.MULTILINE)) == {
            (str(value.number), value.name) for value in enum.values
        }


def test_limits_of_fields_are_listed():
    text = section("reference/messages/embeds.md", "embed-field")
    assert re.search(r"`name` \| string \| .*at most 256 characters; without whitespace at both ends \|", text)
    text = section("reference/messages/channels.md", "forumtag")
    assert re.search(r"`name` \| string \| required; 1 to 50 characters \|", text)
    text = section("reference/messages/messages.md", "sendchannelmessagerequest")
    assert re.search(r"`content` \| .*\| at most 2000 characters \|", text)
    assert re.search(r"`embeds` \| .*\| at most 10 elements \|", text)


def test_comments_are_read_above_and_beside_an_element(tmp_path):
    proto = tmp_path / "x.proto"
    proto.write_text("""\
package p;
// Not of M.

// Of M,
// in two lines.
message M {
  oneof kind {
    // above
    string a = 1 [(x) = {y: "}"}];  // beside, https://example.org
  }
  enum E {
    ZERO = 0;  // none
  }
  map<string, string> more = 3;
}
service S {
  // Does it.
  rpc Do (M) returns (M) {
    option (route) = {get: "/a/{b}"};
  }
}
""")
    assert read_comments([proto]) == {
        "p.M": "Of M, in two lines.",
        "p.M.a": "above beside, https://example.org",
        "p.M.E": "",
        "p.M.E.ZERO": "none",
        "p.M.more": "",
        "p.S": "",
        "p.S.Do": "Does it.",
    }


@pytest.mark.parametrize("name", python_pages.modules())
def test_every_public_name_of_the_package_has_a_docstring(name):
    module = importlib.import_module(f"discordproxy.{name}")
    text = generated()[f"reference/python/{name}.md"]
    for each in python_pages.public_names(module):
        value = getattr(module, each)
        assert inspect.getdoc(value), each
        assert f"{{: #{rpc_pages.anchor(each)} }}" in text
        for member, found in python_pages.methods_of(value).items() if inspect.isclass(value) else ():
            assert inspect.getdoc(found), f"{each}.{member}"
            assert f"{{: #{rpc_pages.anchor(member)} }}" in text


def test_every_public_module_has_a_page():
    assert set(python_pages.TITLES) <= set(python_pages.modules())
    assert {f"reference/python/{name}.md" for name in python_pages.modules()} <= generated().keys()


def test_rpcs_link_to_methods_that_exist():
    linked = set(re.findall(r"python/client\.md#([\w-]+)", "".join(generated().values())))
    assert len(linked) > 50
    assert linked <= python_pages.anchors()


@pytest.mark.parametrize("kind", [kind for _, kind in settings_page.SECTIONS], ids=lambda kind: kind.__name__)
def test_every_setting_is_listed(kind):
    text = generated()["reference/settings.md"]
    for name, field in kind.model_fields.items():
        assert text.count(f"| `{settings_page.variable(name, field)}` |") == 1


def test_every_variable_of_the_client_is_listed():
    package = ROOT / "client" / "discordproxy"
    read = {
        found
        for path in package.rglob("*.py")
        for found in re.findall(r"environ[^\n]*\"(DISCORDPROXY_\w+)\"", path.read_text())
    }
    assert len(read) >= 4
    assert read <= {name for name, _, _ in settings_page.CLIENT}


@pytest.mark.parametrize("name", command_page.parsers())
def test_every_option_of_a_command_is_described(name):
    parser = command_page.parsers()[name]
    text = generated()["reference/commands.md"].partition(f"## `{name}`\n")[2].partition("\n## ")[0]
    assert parser.description in text
    options = {option for action in parser._actions for option in action.option_strings} - {"-h", "--help"}
    assert options <= set(re.findall(r"--?[\w-]+", text))
    assert all(action.help for action in parser._actions if action.option_strings)


def test_every_setting_of_a_key_is_listed_with_its_type():
    rows = re.findall(r"^\| (`.+?) \| (.+?) \| .+ \| .* \|$", generated()["reference/keys.md"], re.MULTILINE)
    assert {name for names, _ in rows for name in re.findall(r"`(\w+)`", names)} == set(KeyEntry.model_fields)
    assert ("`share`", "number ≥ 0.01, ≤ 100") in rows


def test_every_metric_and_path_is_listed():
    text = generated()["reference/metrics.md"]
    assert [name for name in exported() if f"| `{name}` |" not in text] == []
    assert all(f"`{path}`" in generated()["reference/http.md"] for path in ("/status.json", "/metrics", "/readyz"))
    assert "| 408 |" in generated()["reference/http.md"]


def reasons_in_the_code() -> set[str]:
    """Return the reasons that errors of the server are created with."""
    found = set()
    for path in (ROOT / "api_server").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in {
                *("refusal", "ApiError", "_unavailable"),
            }:
                found |= {each.value for each in node.args[:2] if isinstance(each, ast.Constant)}
    broker = ROOT / "ratelimit/discordproxy_ratelimit/errors.py"
    found |= set(re.findall(r'reason = "(\w+)"', broker.read_text()))
    return {reason for reason in found if re.fullmatch(r"[A-Z_]+", str(reason))} - {"OK", "UNAVAILABLE"}


def test_every_reason_is_explained():
    explained = {name for name, _ in explain.reasons()}
    reasons = reasons_in_the_code() - (set(get_args(Status)) - explained) - {"DISCORD_ERROR"}
    assert len(reasons) > 15
    assert reasons - explained == set()
    text = generated()["troubleshooting.md"]
    for name, meaning in explain.reasons():
        assert f"| `{name}`" in text
        assert error_pages.cell(meaning.meaning) in text


def test_no_page_shows_an_escaped_border():
    code = re.compile(r"`[^`\n]*\\\|[^`\n]*`")
    assert [path for path, text in generated().items() if code.search(text)] == []


def test_the_texts_of_refusals_are_listed_with_their_reasons():
    rows = dict(error_pages.refusals())
    assert len(rows) > 60
    assert rows["The key that was sent is not a key of Discord Proxy."] == "UNAUTHENTICATED"
    assert rows["The application … may not call …; add it to the key's rpcs."] == "FORBIDDEN_BY_OPERATOR"
    assert rows["Too many calls are waiting already"] == "QUEUE_FULL"
    assert set(rows.values()) <= {name for name, _ in explain.reasons()}


def test_every_finding_of_doctor_is_listed_with_its_fix():
    source = inspect.getsource(findings)
    without_text = 2  # those of a gateway's failure and of Redis have texts of other modules
    assert len(error_pages.findings()) >= source.count("return _bad(") - without_text
    assert ("**token**: Discord rejects the bot token", 50) in [
        (text, len(fix[:50])) for text, fix in error_pages.findings()
    ]


def test_lines_of_a_server_that_does_not_start_are_listed():
    lines = error_pages.start_lines()
    assert len(lines) > 30
    for part in ("is already in use", "DISCORD_BOT_TOKEN is not set", "contains no certificate"):
        assert len([line for line in lines if part in line]) == 1, part
    assert all(error_pages.cell(line) in generated()["troubleshooting.md"] for line in lines)


def test_every_path_of_the_http_port_is_in_the_table():
    text = (ROOT / "docs/operations.md").read_text()
    rows = "".join(re.findall(r"^\| (`/.*?) \|", text, re.MULTILINE))
    documented = set(re.findall(r"`(/[\w.]*)`", rows))
    files = set(_FILES) - {"/"}
    source = inspect.getsource(importlib.import_module("discordproxy_api.http.server"))
    source += inspect.getsource(importlib.import_module("discordproxy_api.http.pages"))
    served = {*re.findall(r'(?:add_get|web\.get)\("(/[\w.]*)"', source), *HEALTH_PATHS, *_FILES}
    assert documented == served - files

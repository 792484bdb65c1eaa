"""Troubleshooting by error text: reasons, Discord's codes, findings of doctor, problems of connections and starts."""

import re
from collections.abc import Iterable
from functools import cache

from discordproxy._grpc import connection_errors
from discordproxy_api.status import explain
from discordproxy_gateway.discord import failures
from discordproxy_ratelimit import errors as broker_errors
from discordproxy_sandbox.errors import discord_error
from markup import anchor, cell, table
from sources.contract_source import ROOT
from sources.source_texts import GAP, calls

API = ROOT / "api_server" / "discordproxy_api"
CLIENT = ROOT / "client" / "discordproxy"
BROKER = ROOT / "ratelimit" / "discordproxy_ratelimit"

_STARTS = {
    API / "processes" / "launch.py": ("StartError",),
    API / "processes" / "supervision.py": ("StartError",),
    API / "bind_policy.py": ("UnsafeBindError",),
    API / "settings.py": ("ValueError",),
    API / "supervisor.py": ("complain",),
    API / "tls.py": ("UnusableFileError",),
    API / "access" / "keys.py": ("KeyFileError", "ValueError"),
    API / "access" / "key_file.py": ("KeyFileError", "UnusableFileError"),
    BROKER / "settings.py": ("ValueError", "PydanticCustomError"),
    BROKER / "process" / "bot_config.py": ("ValueError",),
    BROKER / "process" / "http_proxy.py": ("HttpProxyError",),
    BROKER / "process" / "reloading.py": ("UnusableFileError",),
}
"""Modules and the exceptions that prevent a start; their longest argument is the text."""

MIN_LENGTH = 12
"""Characters of a text that are known before run time; a shorter one explains nothing."""

_BY_BROKER = {
    name: found.reason
    for name, found in vars(broker_errors).items()
    if isinstance(found, type) and issubclass(found, broker_errors.BrokerError)
}
"""Exceptions of the broker and the reasons that callers get."""

Row = tuple[str, str]


_INTRODUCTION = f"""\
# Troubleshooting by error text

Search this page for a part of the text. Generated from the texts and explanations in the program; `{GAP}` stands for a
value. `discordproxy doctor` finds most of these problems.

## Reasons

The `reason` of an exception, of a gRPC error's details and of the log; on the REST port `X-Discordproxy-Reason`.
"""


_STARTS_INTRODUCTION = """
## The server does not start

One line on the console, after `ERROR:`. An invalid value of a setting is reported with the variable's name.
"""


_REFUSALS_INTRODUCTION = """
### Texts of refusals

The text of an exception, of a gRPC error's details, of a response of the REST port, and of the log. A `ValueError` or
`TypeError` of the Python client is not listed: it names the argument, and nothing was sent.
"""


def pages() -> dict[str, str]:
    """Return the page by its path below the folder of the documentation."""
    parts = [
        _INTRODUCTION,
        _explanations("reason", explain.reasons()),
        _REFUSALS_INTRODUCTION,
        table(("text", "reason"), [(cell(text), f"[`{name}`](#{anchor(name)})") for text, name in refusals()]),
        "## Errors of Discord\n\nThe `code` of an exception, and the status of Discord's response.\n",
        _discord_codes(),
        _explanations("HTTP status", explain.http_statuses()),
        "## Findings of `discordproxy doctor`\n",
        _rows(findings(), "finding", "fix"),
        "## No connection to the proxy\n\nThe `hint` of an exception, and the output of the commands.\n",
        _rows(connections(), "problem", "fix"),
        "## The gateway cannot connect\n",
        *(f"- {cell(text)}" for text in gateway_lines()),
        "\n## The private Valkey cannot start\n",
        *(f"- {cell(text)}" for text in server_lines()),
        _STARTS_INTRODUCTION,
        *(f"- {cell(text)}" for text in start_lines()),
    ]
    return {"troubleshooting.md": "\n".join(parts) + "\n"}


def _explanations(title: str, explained: Iterable[tuple[str | int, explain.Explanation]]) -> str:
    rows = [
        (f"`{name}`{{: #{anchor(str(name))} }}" if title == "reason" else f"`{name}`", each.meaning, each.fix)
        for name, each in explained
    ]
    return table((title, "meaning", "fix"), [(name, cell(meaning), cell(fix)) for name, meaning, fix in rows])


def _discord_codes() -> str:
    rows = [
        (f"`{code}`", cell(_discord_text(code)), cell(each.meaning), cell(each.fix)) for code, each in explain.codes()
    ]
    return table(("code", "text", "meaning", "fix"), rows)


def _discord_text(code: int) -> str:
    """Return the text of an error of Discord, as the sandbox has it; empty for others."""
    try:
        return discord_error(code).message
    except KeyError:
        return ""


@cache
def refusals() -> list[Row]:
    """Return the texts with which the proxy refuses calls, and their reasons."""
    found: list[Row] = []
    for path in sorted(API.rglob("*.py")):
        found += [(text, reason) for _, reason, text in calls(path, "refusal") if reason != GAP]
        found += [(text, "UNAUTHENTICATED") for text, *_ in calls(path, "_refused")]
        denied = (text for _, text in calls(path, "denied") if text != GAP)
        found += [(f"The application {GAP} {text}.", "FORBIDDEN_BY_OPERATOR") for text in denied]
    for path in sorted(BROKER.rglob("*.py")):
        for name, reason in _BY_BROKER.items():
            found += [(text, other[-1] if other else reason) for text, *other in calls(path, name, keyword="reason")]
    known = {name for name, _ in explain.reasons()}
    shown = (row for row in found if len(row[0].replace(GAP, "")) > MIN_LENGTH and row[1] in known)
    return sorted(dict.fromkeys(shown), key=lambda row: row[0].lstrip(f"{GAP} :'\"").lower())


def _rows(rows: Iterable[Row], left: str, right: str) -> str:
    return table((left, right), [(cell(text), cell(fix)) for text, fix in rows])


def findings() -> list[Row]:
    """Return the bad findings of doctor with their fixes."""
    found = calls(API / "status" / "findings.py", "_bad")
    named = [_finding(arguments) for arguments in found if len(arguments) > 1 and arguments[1] != GAP]
    broker = (arguments[0] for arguments in calls(BROKER / "server" / "watch.py", "append"))
    return named + [_split(text) for text in broker]


def _finding(arguments: list[str]) -> Row:
    subject, text, *fix = arguments
    return f"**{subject}**: {text}", fix[0] if fix else ""


def _split(text: str) -> Row:
    problem, _, fix = text.rpartition("; ")
    return (f"**redis**: {problem}", fix) if problem else (f"**redis**: {text}", "")


def connections() -> list[Row]:
    """Return the problems of connections that the client explains."""
    causes = [(re.sub(r"\{\w+\}", GAP, text), fix) for _, text, fix in connection_errors._CAUSES]  # noqa: SLF001 - its own documentation
    found = calls(CLIENT / "_grpc" / "connection_errors.py", "Problem")
    return causes + [(text, fix) for text, fix in found if text.strip(GAP)]


def gateway_lines() -> list[str]:
    """Return the lines of a gateway worker that cannot connect."""
    lines = [failures.fatal_line(code, intents=["members"], shards=GAP) for code in range(4000, 4020)]
    return [line for line in lines if line] + [failures.ENDPOINT_SET, failures.budget_line(0, 0)]


def start_lines() -> list[str]:
    """Return the lines about settings, files and ports that prevent a start."""
    found: list[str] = []
    for path, names in _STARTS.items():
        texts = [max(arguments, key=len).strip() for arguments in calls(path, *names)]
        found += [text for text in texts if " " in text and len(text.replace(GAP, "").strip()) > MIN_LENGTH]
    return sorted(dict.fromkeys(found), key=lambda text: text.lstrip(f"{GAP}: ").lower())


def server_lines() -> list[str]:
    """Return the lines of a private server that cannot start."""
    found = calls(BROKER / "server" / "embedded.py", "EmbeddedError")
    return [text for text, *_ in found if text.strip(GAP)]

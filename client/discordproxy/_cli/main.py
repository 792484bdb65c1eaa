"""The commands `discordproxy` and, as in 1.5.1, `discordproxymessage`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from discordproxy import __title__, __version__
from discordproxy._cli import commands as application_commands
from discordproxy._cli import message
from discordproxy._cli.completion import SHELLS, script
from discordproxy._cli.console import call_console
from discordproxy._cli.diagnosis import Diagnosis, diagnose, explain
from discordproxy._cli.io import CommandResult, complain, show, text_of_argument
from discordproxy._cli.status_text import problems_of, text_of
from discordproxy._requests.checks import seconds
from discordproxy.client import DiscordClient, DiscordProxyException, DiscordProxyGrpcError, DiscordProxyTimeoutError
from discordproxy.exceptions import never_left

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_DONE, _FAILED, _USAGE, _UNREACHABLE, _TIMEOUT = range(5)
_INTERRUPTED = 130
_STATUSES = """\
exit status:
  0  success; also if a message was sent, but the output could not be written
  1  an error of Discord or the proxy, or a failed check
  2  invalid usage
  3  no connection to a proxy at the target: nothing was sent
  4  timeout: whether anything was sent is unknown, unless the error states it
  130  interrupted with Ctrl-C
"""
_ENVIRONMENT = """\
environment:
  DISCORDPROXY_TARGET   address of the proxy, if --target is not given
  DISCORDPROXY_API_KEY  API key of the application, if the proxy requires one
  DISCORDPROXY_CA       file of CA certificates; enables TLS
  DISCORDPROXY_CERT, DISCORDPROXY_CERT_KEY
                        files of a client certificate and its key, if the proxy requires one
"""


def message_main(arguments: Sequence[str] | None = None) -> None:
    """Run the command `discordproxymessage`: send a text message."""
    parser = argparse.ArgumentParser(
        prog="discordproxymessage", description="Send a message through Discord Proxy, to test that it works."
    )
    parser.add_argument("type", choices=["direct", "channel"], help="whether recipient_id is a user or a channel")
    parser.add_argument("recipient_id", type=int, help="id of the user or channel")
    parser.add_argument("content", help="the text")
    parser.add_argument("--host", default="127.0.0.1", help="host of the proxy (default: %(default)s)")
    parser.add_argument("--port", default=50051, type=int, help="port of the proxy (default: %(default)s)")
    args = parser.parse_args(arguments)
    if status := show(_send_one(args), unwritten=_FAILED):
        raise SystemExit(status)


def _send_one(args: argparse.Namespace) -> CommandResult:
    try:
        client = DiscordClient(target=f"{args.host}:{args.port}", app="discordproxymessage")
        send = client.create_direct_message if args.type == "direct" else client.create_channel_message
        send(args.recipient_id, text_of_argument(args.content))
    except (DiscordProxyException, ValueError) as ex:
        return CommandResult(_FAILED, f"ERROR: {ex}")
    except KeyboardInterrupt:
        return CommandResult(_INTERRUPTED, "")
    return CommandResult(_DONE, "Message sent", done=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command `discordproxy` and exit with the documented status."""
    parser = build_parser()
    args, rest = parser.parse_known_args(arguments)
    if rest and args.command not in {"sandbox", "keys"}:
        parser.error(f"unknown argument {rest[0]}; see {parser.prog} {args.command} --help")
    args.rest = rest
    raise SystemExit(show(_outcome(args), unwritten=_FAILED))


def _outcome(args: argparse.Namespace) -> CommandResult:
    """Run a command. A ValueError or OSError concerns its arguments and files: nothing was sent or printed."""
    try:
        outcome: CommandResult = args.run(args)
    except DiscordProxyException as error:
        return CommandResult(_report(error, args.target or DiscordClient().target), "")
    except (ValueError, OSError) as error:
        complain(f"{args.parser.prog} {args.command}: {error}")
        return CommandResult(_USAGE, "")
    except KeyboardInterrupt:
        return CommandResult(_INTERRUPTED, "")
    return outcome


def build_parser() -> argparse.ArgumentParser:
    """Return the argument parser of `discordproxy`."""
    parser = argparse.ArgumentParser(
        prog="discordproxy",
        description=f"Send messages through {__title__}, and inspect the proxy.",
        epilog=f"{message.EXAMPLES}\n{_ENVIRONMENT}\n{_STATUSES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"{__title__} {__version__}")
    parser.set_defaults(parser=parser)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add, connection = partial(_add_command, commands), _connection_options()
    message.add_options(add("message", message.run, "Send a message.", connection, examples=message.EXAMPLES))
    text = "List, synchronize and release the bot's application commands."
    application_commands.add_options(
        add("commands", application_commands.run, text, connection, examples=application_commands.EXAMPLES)
    )
    status = add("status", _status, "Show workers, limits, queues, gateway, applications and errors.", connection)
    doctor = add("doctor", _doctor, "Check for problems, and show how to fix each.", connection)
    for command in (status, doctor):
        command.add_argument("--json", action="store_true", help="print JSON")
    text = "also check whether the bot can send messages to this channel"
    doctor.add_argument("--channel", type=int, default=0, metavar="ID", help=text)
    text = "Run a local stand-in for Discord, to try the proxy without a bot; further arguments are passed to it."
    add("sandbox", _sandbox, text, add_help=False)
    text = "Create API keys for applications; further arguments are passed to the key tool."
    add("keys", _keys, text, add_help=False)
    completion = add("completion", _complete, "Print the completion script for a shell.")
    completion.add_argument("shell", choices=SHELLS, help="the shell")
    return parser


def _add_command(
    commands: Any,
    name: str,
    run: Callable[[argparse.Namespace], CommandResult],
    text: str,
    *parents: argparse.ArgumentParser,
    examples: str = "",
    add_help: bool = True,
) -> argparse.ArgumentParser:
    """Add a command to the parsers of commands; return its own parser."""
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text,
        description=text,
        parents=parents,
        epilog=f"{examples}\n{_STATUSES}" if examples else _STATUSES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=add_help,
    )
    command.set_defaults(run=run)
    return command


def _connection_options() -> argparse.ArgumentParser:
    connection = argparse.ArgumentParser(add_help=False)
    connection.add_argument(
        "--target", help="address of the proxy (default: DISCORDPROXY_TARGET, else localhost:50051)"
    )
    connection.add_argument(
        "--timeout", type=_seconds, default=30.0, help="seconds to wait for a response (default: %(default)s)"
    )
    return connection


def _seconds(text: str) -> float | None:
    """Return the seconds to wait; None: no limit."""
    try:
        found = seconds("timeout", float(text))
    except ValueError:
        found = -1.0
    if found is not None and found < 0:
        raise argparse.ArgumentTypeError(f"must be a number of seconds, not {text!r}")
    return found or None


def _status(args: argparse.Namespace) -> CommandResult:
    with _client(args) as client:
        try:
            document = call_console(client, "Status", args.timeout)
        except DiscordProxyException as error:
            if isinstance(error, DiscordProxyGrpcError) and never_left(error.status, error.details):
                raise
            document = None  # the findings below show the problem
        if document is None:
            return _findings(args, client.target, list(diagnose(client, args.timeout)), with_fixes=False)
    try:
        problems = problems_of(document)
        if args.json:
            return CommandResult(_FAILED if problems else _DONE, json.dumps(document, indent=2))
        verdict = "needs attention" if problems else "all is well"
        heading = f"Discord Proxy {document['version']} at {client.target}: {verdict}"
        lines = [heading, *(f"  !! {problem}" for problem in problems), *text_of(document)]
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        complain(f"The status of the proxy at {client.target} is not in the format of client {__version__}: {error!r}")
        return CommandResult(_FAILED, "")
    return CommandResult(_FAILED if problems else _DONE, "\n".join(lines))


def _doctor(args: argparse.Namespace) -> CommandResult:
    with _client(args) as client:
        findings = list(diagnose(client, args.timeout, channel_id=args.channel))
    return _findings(args, client.target, findings, with_fixes=True)


def _client(args: argparse.Namespace) -> DiscordClient:
    return DiscordClient(args.target, timeout=args.timeout, app="discordproxy-cli", retries=0)


def _findings(args: argparse.Namespace, target: str, findings: list[Diagnosis], *, with_fixes: bool) -> CommandResult:
    status = _DONE if all(finding.good for finding in findings) else _FAILED
    if args.json:
        return CommandResult(status, json.dumps([finding._asdict() for finding in findings], indent=2))
    lines = [f"Discord Proxy at {target}"]
    for finding in findings:
        lines.append(f"  {'ok ' if finding.good else 'BAD'}  {finding.subject}: {finding.text}")
        lines += [f"       {finding.fix}"] if with_fixes and finding.fix else []
    return CommandResult(status, "\n".join(lines))


def _sandbox(args: argparse.Namespace) -> CommandResult:
    return _exec_module("discordproxy_sandbox", args.rest, "The sandbox", needs=("discordproxy_sandbox", "aiohttp"))


def _keys(args: argparse.Namespace) -> CommandResult:
    return _exec_module(
        "discordproxy_api.access", args.rest, "The key tool", needs=("discordproxy_api", "pydantic", "grpc_health")
    )


def _exec_module(module: str, arguments: Sequence[str], what: str, *, needs: tuple[str, ...]) -> CommandResult:
    if any(find_spec(name) is None for name in needs):
        complain(f"{what} needs more packages: pip install 'discordproxy[server]>=2'")
        return CommandResult(_USAGE, "")
    command = [sys.executable, "-m", module, *arguments]
    os.execv(sys.executable, command)  # noqa: S606 -- replaces this process, so that signals reach the command
    return CommandResult(_DONE, "")


def _complete(args: argparse.Namespace) -> CommandResult:
    return CommandResult(_DONE, script(args.shell, args.parser).rstrip("\n"))


def _report(error: DiscordProxyException, target: str) -> int:
    problem = explain(error, target)
    complain(f"{problem.text.rstrip('.')}. {problem.fix}".rstrip())
    if isinstance(error, DiscordProxyTimeoutError):
        return _TIMEOUT
    unreachable = isinstance(error, DiscordProxyGrpcError) and never_left(error.status, error.details)
    return _UNREACHABLE if unreachable else _FAILED

"""The command `discordproxy commands`: lists, synchronizes and releases application commands."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from google.protobuf import json_format

from discordproxy._cli.io import CommandResult, read_stdin, read_text, text_of_argument
from discordproxy.client import DiscordClient
from discordproxy.discord_api_pb2 import Command, SyncCommandsResponse

if TYPE_CHECKING:
    import argparse

EXAMPLES = """\
examples:
  discordproxy commands list
  discordproxy commands sync commands.json --app shop --dry-run
  discordproxy commands sync commands.json --app shop --guild 123456789
  discordproxy commands release shop --app shop
"""
_TITLES = {Command.USER: "user command {}", Command.MESSAGE: "message command {}"}
_STEPS = {False: "", True: " (not changed: --dry-run)"}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("action", choices=["list", "sync", "release"], help="what to do")
    parser.add_argument(
        "names",
        nargs="*",
        metavar="FILE|NAME",
        help="sync: a file with Discord's JSON list of all commands of the application, - for standard input; "
        "release: names of commands",
    )
    parser.add_argument("--app", help="name of the application (default: DISCORDPROXY_APP, or that of the API key)")
    parser.add_argument("--guild", type=int, default=0, metavar="ID", help="the commands of this guild")
    parser.add_argument("--dry-run", action="store_true", help="sync: show the changes without making them")
    parser.add_argument("--take-over", action="store_true", help="sync: replace commands that no application owns")
    parser.add_argument(
        "--owner", default="", help="release: commands of this application; requires a key without limits"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> CommandResult:
    """Run the action.

    Raises:
        ValueError: an argument is invalid.
        OSError: a file cannot be read.
        DiscordProxyException: the call failed.
    """
    with DiscordClient(args.target, timeout=args.timeout, app=_app(args)) as client:
        if args.action == "list":
            return _list(client, args)
        return _sync(client, args) if args.action == "sync" else _release(client, args)


def _app(args: argparse.Namespace) -> str:
    """Return the name of the application. A key or a certificate determines it for the proxy.

    Raises:
        ValueError: the name is required and unknown.
    """
    app: str = args.app or os.environ.get("DISCORDPROXY_APP", "")
    is_known = os.environ.get("DISCORDPROXY_API_KEY") or os.environ.get("DISCORDPROXY_CERT")
    if args.action != "list" and not (app or is_known):
        raise ValueError("whose commands? Give --app, or set DISCORDPROXY_API_KEY")
    return app or "discordproxy-cli"


def _list(client: DiscordClient, args: argparse.Namespace) -> CommandResult:
    if args.names:
        raise ValueError("list takes no names")
    commands = client.list_commands(guild_id=args.guild)
    if args.json:
        return CommandResult(0, _json([_as_json(command) for command in commands]))
    width = max((len(title(command)) for command in commands), default=0)
    lines = [f"{title(each):{width}}  {each.owner or '(no application)'}" for each in commands]
    return CommandResult(0, "\n".join(lines) or "There are no commands.")


def _sync(client: DiscordClient, args: argparse.Namespace) -> CommandResult:
    if len(args.names) != 1:
        raise ValueError("sync takes one file; - for standard input")
    path = args.names[0]
    text = read_stdin() if path == "-" else read_text(path)
    found = client.sync_commands(text, guild_id=args.guild, dry_run=args.dry_run, take_over=args.take_over)
    if args.json:
        return CommandResult(0, _json(_as_json(found)), done=not args.dry_run)
    names = SyncCommandsResponse.Change.Action.Name
    lines = [f"{names(change.action).lower():9}  {title(change.command)}" for change in found.changes]
    lines.append(f"{found.others} other commands{_STEPS[args.dry_run]}")
    return CommandResult(0, "\n".join(lines), done=not args.dry_run)


def _release(client: DiscordClient, args: argparse.Namespace) -> CommandResult:
    if not args.names:
        raise ValueError("release takes the names of commands")
    names = [text_of_argument(name).removeprefix("/") for name in args.names]
    released = client.release_commands(names, guild_id=args.guild, owner=args.owner)
    if args.json:
        return CommandResult(0, _json([_as_json(command) for command in released]), done=True)
    lines = [f"released  {title(command)}" for command in released]
    return CommandResult(0 if released else 1, "\n".join(lines) or "The application owns no such command.", done=True)


def title(command: Command) -> str:
    """Return a command as text, such as "/shop"."""
    return _TITLES.get(command.type, "/{}").format(command.name)


def _as_json(found: Any) -> Any:
    return json_format.MessageToDict(found, preserving_proto_field_name=True)


def _json(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False)

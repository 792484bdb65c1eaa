"""The command `discordproxy message`: sends text, embeds and files from arguments, files or standard input."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from google.protobuf import json_format

from discordproxy._cli.io import CommandResult, read_stdin, read_text, text_of_argument
from discordproxy._requests.checks import convert
from discordproxy.client import DiscordClient
from discordproxy.snowflakes import message_url

if TYPE_CHECKING:
    import argparse

MAX_TEXT_BYTES = 16 * 1024
"""More bytes than 2000 characters take; the proxy counts the characters."""

EXAMPLES = """\
examples:
  discordproxy message direct 123456789 "Hello, world!"
  discordproxy message channel 123456789 --title Report --description "All is well" --file plot.png
  uptime | discordproxy message channel 123456789
  journalctl -n 100 | discordproxy message channel 123456789 --overflow file
  discordproxy message channel 123456789 --embed-json @embed.json --json
  discordproxy message channel 123456789 "Backup done" --key "backup-$(date -I)"
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("type", choices=["channel", "direct"], help="whether the id is that of a channel or of a user")
    parser.add_argument("id", type=int, help="id of the channel or user")
    parser.add_argument(
        "content", nargs="?", help="the text; - reads it from standard input, as does a pipe without other content"
    )
    parser.add_argument("--title", default="", help="title of an embed")
    parser.add_argument("--description", default="", help="text of an embed")
    parser.add_argument(
        "--embed-json", metavar="JSON", help="an embed in the form of Discord's JSON, or @FILE to read it from"
    )
    parser.add_argument("--file", action="append", default=[], metavar="PATH", help="a file to send (repeatable)")
    parser.add_argument("--reply-to", type=int, metavar="ID", help="the message to reply to")
    parser.add_argument("--silent", action="store_true", help="send no notifications")
    parser.add_argument(
        "--overflow",
        choices=["error", "split", "truncate", "file"],
        default="error",
        help="how to handle a text that is too long (default: %(default)s)",
    )
    parser.add_argument("--key", default="", help="idempotency key: the message is sent once per key and day")
    parser.add_argument("--json", action="store_true", help="print the sent message as JSON")


def run(args: argparse.Namespace) -> CommandResult:
    """Send the message; return its id and link.

    Raises:
        ValueError: an argument is invalid.
        OSError: a file cannot be read.
        DiscordProxyException: the call failed; its `sent` states whether the message was sent.
    """
    content, embeds = _content(args), _embeds(args)
    with DiscordClient(args.target, timeout=args.timeout, app="discordproxy-cli") as client:
        send = client.create_direct_message if args.type == "direct" else client.create_channel_message
        message = send(
            args.id,
            content,
            embeds=embeds,
            files=args.file,
            silent=args.silent,
            reply_to=args.reply_to,
            overflow=args.overflow,
            idempotency_key=text_of_argument(args.key),
        )
    if args.json:
        return CommandResult(0, json_format.MessageToJson(message, preserving_proto_field_name=True), done=True)
    parts = f" in {len(message.more_messages) + 1} parts" if message.more_messages else ""
    # Discord's response does not contain the guild of a channel, which the link requires.
    link = f": {message_url(message)}" if args.type == "direct" else ""
    return CommandResult(0, f"Message {message.id} sent{parts}{link}", done=True)


def _content(args: argparse.Namespace) -> str:
    described = args.title or args.description or args.embed_json or args.file
    if args.content == "-" or (args.content is None and not described and not _at_terminal()):
        return _text_of_stdin(args.overflow).rstrip("\n")
    return text_of_argument(args.content or "")


def _text_of_stdin(overflow: str) -> str:
    if overflow != "error":
        return read_stdin()
    limit = "2000 characters, the limit of a message; --overflow split, truncate or file sends longer texts"
    return read_stdin(MAX_TEXT_BYTES, limit)


def _at_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _embeds(args: argparse.Namespace) -> list[dict[str, Any]]:
    embeds = []
    if args.embed_json:
        file = args.embed_json.removeprefix("@")
        from_file = args.embed_json.startswith("@")
        text = read_text(file) if from_file else text_of_argument(args.embed_json)
        embeds.append(convert("--embed-json", json.loads, text))
    if args.title or args.description:
        title, description = text_of_argument(args.title), text_of_argument(args.description)
        embeds.append({"title": title, "description": description})
    return embeds

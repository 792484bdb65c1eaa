"""Commands for people: `discordproxymessage`, as it always was, and `discordproxy`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from discordproxy.client import DiscordClient, DiscordProxyException

if TYPE_CHECKING:
    from collections.abc import Sequence


def message_main(arguments: Sequence[str] | None = None) -> None:
    """Run `discordproxymessage`: send one text message."""
    parser = argparse.ArgumentParser(
        prog="discordproxymessage", description="Send a message through Discord Proxy: a quick test that it works."
    )
    parser.add_argument("type", choices=["direct", "channel"], help="what recipient_id is: a user or a channel")
    parser.add_argument("recipient_id", type=int, help="id of the user or channel")
    parser.add_argument("content", help="the text")
    parser.add_argument("--host", default="127.0.0.1", help="where the proxy runs (default: %(default)s)")
    parser.add_argument("--port", default=50051, type=int, help="its port (default: %(default)s)")
    args = parser.parse_args(arguments)
    client = DiscordClient(target=f"{args.host}:{args.port}")
    send = client.create_direct_message if args.type == "direct" else client.create_channel_message
    try:
        send(args.recipient_id, args.content)
    except DiscordProxyException as ex:
        print(f"ERROR: {ex}")
        raise SystemExit(1) from ex
    print("Message sent")

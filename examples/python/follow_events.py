"""Answers messages; continues after a restart where it stopped. Needs the intents messages and message_content."""

import json
from pathlib import Path

from discordproxy.client import DiscordClient

CURSOR = Path("cursor.txt")


def main():
    """Answer each message `!ping`, once."""
    client = DiscordClient(timeout=30)
    stored = CURSOR.read_text() if CURSOR.exists() else ""
    with client.events(types=["MESSAGE_CREATE"], cursor=stored) as events:
        print("following", flush=True)
        for event in events:
            message = json.loads(event.json)
            if message["content"] == "!ping":
                key = f"pong-{message['id']}"  # the event may come again after a crash
                client.create_channel_message(int(message["channel_id"]), "Pong!", idempotency_key=key)
            CURSOR.write_text(events.cursor)


if __name__ == "__main__":
    main()

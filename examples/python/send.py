"""Sends messages with the synchronous client, and handles errors."""

from discordproxy.client import DiscordClient
from discordproxy.discord_api_pb2 import Embed
from discordproxy.exceptions import DiscordProxyException, DiscordProxyHttpError

CHANNEL, USER = 500000000000000001, 200000000000000001


def main():
    """Send a message, a direct message, and one to a channel that does not exist."""
    with DiscordClient(timeout=30) as client:
        message = client.create_channel_message(CHANNEL, "Hello from Python", embed=Embed(title="An embed"))
        print(f"sent {message.id}")
        client.create_direct_message(USER, "Hello, you!", idempotency_key="greeting-1")
        try:
            client.create_channel_message(999999999999999999, "To nowhere")
        except DiscordProxyHttpError as error:
            print(f"refused by Discord: {error.status} {error.code} {error.text}")
        except DiscordProxyException as error:
            print(f"not sent: {error.sent}, {error}")


if __name__ == "__main__":
    main()

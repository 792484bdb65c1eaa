"""Sends messages concurrently with the asyncio client."""

import asyncio

from discordproxy.aio import AsyncDiscordClient

CHANNEL = 500000000000000001


async def main():
    """Send ten messages at once; they arrive within Discord's rate limits."""
    async with AsyncDiscordClient(timeout=60) as client:
        calls = (client.create_channel_message(CHANNEL, f"Message {number}") for number in range(10))
        messages = await asyncio.gather(*calls)
        print(f"sent {len(messages)}")
        async for message in client.get_channel_messages(CHANNEL, limit=3):
            print(message.content)


if __name__ == "__main__":
    asyncio.run(main())

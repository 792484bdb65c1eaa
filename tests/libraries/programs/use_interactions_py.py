"""interactions.py on the REST port: only the base URL is changed."""

import asyncio
import io

import interactions
from driver import BASE, CHANNEL, FILE, GUILD, REASON, SNIPPET, TOKEN, burst, run_snippet, serve

if not SNIPPET:
    interactions.api.http.route.Route.BASE = f"{BASE}/api/v10"
run_snippet()


async def operations(client: interactions.Client, channel, guild, interaction) -> None:
    message = await channel.send("hello")
    await message.edit(content="edited")
    await message.add_reaction("\N{THUMBS UP SIGN}")
    uploaded = await channel.send("uploads", files=interactions.File(io.BytesIO(FILE), "three-mib.bin"))
    assert uploaded.attachments[0].size == len(FILE)
    assert (await client.fetch_guild(GUILD, force=True)).id == GUILD
    assert len(await client.http.list_members(GUILD, limit=3)) == 3
    made = await guild.create_text_channel("made", reason=REASON)
    await made.delete()
    hook = await channel.create_webhook("hook")
    await hook.send("by webhook", wait=True)
    await hook.delete()
    await message.delete()
    answer = {"type": 4, "data": {"content": "answers"}}
    await client.http.post_initial_response(answer, interaction["id"], interaction["token"])
    assert await client.fetch_channel(1) is None  # it returns None for 404


async def main() -> None:
    client = interactions.Client(intents=interactions.Intents.NONE)
    await client.login(TOKEN)
    channel, guild = await client.fetch_channel(CHANNEL), await client.fetch_guild(GUILD)
    try:
        await serve(
            {
                "operations": lambda command: operations(client, channel, guild, command["interaction"]),
                "burst": lambda command: burst(command["number"], channel.send, command["content"]),
                "send": lambda command: _quiet(channel.send(command["content"])),
                "channel": lambda command: _quiet(guild.create_text_channel(command["content"])),
            }
        )
    finally:
        await client.http.close()


async def _quiet(call) -> None:
    await call


asyncio.run(main())

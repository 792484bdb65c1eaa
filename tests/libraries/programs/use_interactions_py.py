"""interactions.py on the REST port: only the base URL is changed."""

import asyncio
import io
from functools import partial

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
    assert await code_of(client.http.execute_webhook(hook.id, "wrong", {"content": "not sent"})) == 50027
    await hook.delete()
    await message.delete()
    answer = {"type": 4, "data": {"content": "answers"}}
    await client.http.post_initial_response(answer, interaction["id"], interaction["token"])
    assert await client.fetch_channel(1) is None  # it returns None for 404


async def code_of(call) -> int:
    """Return Discord's code of the error that a call ends with."""
    try:
        await call
    except interactions.errors.HTTPException as error:
        return error.code
    return 0


async def send(channel, content: str) -> None:
    """Send a message; after three answers of 429 the library returns None."""
    if await channel.send(content) is None:
        raise interactions.errors.LibraryException("three answers of 429")


async def main() -> None:
    client = interactions.Client(intents=interactions.Intents.NONE)
    await client.login(TOKEN)
    channel, guild = await client.fetch_channel(CHANNEL), await client.fetch_guild(GUILD)
    try:
        await serve(
            {
                "operations": lambda command: operations(client, channel, guild, command["interaction"]),
                "burst": lambda command: burst(command["number"], partial(send, channel), command["content"]),
                "send": lambda command: send(channel, command["content"]),
                "channel": lambda command: _quiet(guild.create_text_channel(command["content"])),
            }
        )
    finally:
        await client.http.close()


async def _quiet(call) -> None:
    await call


asyncio.run(main())

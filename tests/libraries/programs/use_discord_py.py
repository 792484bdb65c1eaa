"""discord.py, py-cord, nextcord and disnake on the REST port: only the base URL is changed."""

import asyncio
import importlib
import io
import sys

from driver import BASE, CHANNEL, FILE, GUILD, REASON, SNIPPET, TOKEN, burst, run_snippet, serve

NAME = sys.argv[1]
library = importlib.import_module({"discord.py": "discord", "py-cord": "discord"}.get(NAME, NAME))
if not SNIPPET and NAME == "py-cord":
    library.http.Route.API_BASE_URL = f"{BASE}/api/v{{API_VERSION}}"
elif not SNIPPET:
    library.http.Route.BASE = f"{BASE}/api/v10"
run_snippet()


async def operations(client, interaction) -> None:
    channel = await client.fetch_channel(CHANNEL)
    message = await channel.send("hello")
    await message.edit(content="edited")
    await message.add_reaction("\N{THUMBS UP SIGN}")
    uploaded = await channel.send("uploads", file=library.File(io.BytesIO(FILE), filename="three-mib.bin"))
    assert uploaded.attachments[0].size == len(FILE)
    guild = await client.fetch_guild(GUILD)
    assert guild.id == GUILD
    assert len([member async for member in guild.fetch_members(limit=3)]) == 3
    made = await guild.create_text_channel("made", reason=REASON)
    await made.delete(reason="tidy")
    hook = await channel.create_webhook(name="hook")
    anonymous = library.Webhook.partial(hook.id, hook.token, session=client.http._HTTPClient__session)
    await anonymous.send("by webhook", wait=True)
    wrong = library.Webhook.partial(hook.id, "wrong", session=client.http._HTTPClient__session)
    assert await code_of(wrong.send("not sent")) == 50027
    await hook.delete()
    await message.delete()
    found = library.Interaction(data=interaction, state=client._connection)
    await found.response.send_message("answers")
    assert await code_of(client.fetch_channel(1)) == 10003


async def code_of(call) -> int:
    """Return Discord's code of the error that a call ends with."""
    try:
        await call
    except library.HTTPException as error:
        return error.code
    return 0


async def main() -> None:
    client = library.Client(intents=library.Intents(members=True))
    await client.login(TOKEN)
    channel, guild = await client.fetch_channel(CHANNEL), await client.fetch_guild(GUILD)
    try:
        await serve(
            {
                "operations": lambda command: operations(client, command["interaction"]),
                "burst": lambda command: burst(command["number"], channel.send, command["content"]),
                "send": lambda command: _quiet(channel.send(command["content"])),
                "channel": lambda command: _quiet(guild.create_text_channel(command["content"])),
            }
        )
    finally:
        await client.close()


async def _quiet(call) -> None:
    await call


asyncio.run(main())

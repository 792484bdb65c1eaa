"""discord.py, py-cord, nextcord and disnake on the REST port: only the base URL is changed."""

import asyncio
import importlib
import io
import os
import sys

NAME = sys.argv[1]
URL, TOKEN, WAIT = os.environ["REST_URL"], os.environ["TOKEN"], os.environ.get("WAIT", "")
CHANNEL, GUILD, BURST = int(os.environ["CHANNEL"]), int(os.environ["GUILD"]), int(os.environ.get("BURST", "10"))

library = importlib.import_module({"discord.py": "discord", "py-cord": "discord"}.get(NAME, NAME))
base = f"{URL}{f'/wait={WAIT}' if WAIT else ''}/app={NAME}/api/v10"
if NAME == "py-cord":
    library.http.Route.API_BASE_URL = base.replace("v10", "v{API_VERSION}")
else:
    library.http.Route.BASE = base


async def operations(client) -> None:
    channel = await client.fetch_channel(CHANNEL)
    message = await channel.send(f"{NAME} says hello")
    await message.edit(content=f"{NAME} edited")
    await message.add_reaction("\N{THUMBS UP SIGN}")
    file = library.File(io.BytesIO(bytes(range(256)) * 12_288), filename="three-mib.bin")
    uploaded = await channel.send(f"{NAME} uploads", file=file)
    assert uploaded.attachments[0].size == 3 * 1024 * 1024
    guild = await client.fetch_guild(GUILD)
    assert guild.id == GUILD
    made = await guild.create_text_channel(f"made-by-{NAME.replace('.', '-')}", reason="café ❤")
    await made.delete(reason="tidy")
    hook = await channel.create_webhook(name="hook of python")
    await hook.send(f"{NAME} by webhook")
    await hook.delete()
    await message.delete()
    sent = await asyncio.gather(*(channel.send(f"{NAME} burst {number}") for number in range(BURST)))
    assert len({each.id for each in sent}) == BURST
    assert await code_of(client.fetch_channel(1)) == 10003


async def code_of(call) -> int:
    """Return Discord's code of the error that a call ends with."""
    try:
        await call
    except library.HTTPException as error:
        return error.code
    return 0


async def main() -> None:
    client = library.Client(intents=library.Intents.none())
    await client.login(TOKEN)
    try:
        await operations(client)
    finally:
        await client.close()


asyncio.run(main())

"""hikari on the REST port: only the URL is changed."""

import asyncio
import os

import hikari

URL, TOKEN, WAIT = os.environ["REST_URL"], os.environ["TOKEN"], os.environ.get("WAIT", "")
CHANNEL, GUILD, BURST = int(os.environ["CHANNEL"]), int(os.environ["GUILD"]), int(os.environ.get("BURST", "10"))


async def operations(rest: hikari.api.RESTClient) -> None:
    message = await rest.create_message(CHANNEL, "hikari says hello")
    await rest.edit_message(CHANNEL, message, "hikari edited")
    await rest.add_reaction(CHANNEL, message, "\N{THUMBS UP SIGN}")
    file = hikari.Bytes(bytes(range(256)) * 12_288, "three-mib.bin")
    uploaded = await rest.create_message(CHANNEL, "hikari uploads", attachment=file)
    assert uploaded.attachments[0].size == 3 * 1024 * 1024
    assert (await rest.fetch_guild(GUILD)).id == GUILD
    made = await rest.create_guild_text_channel(GUILD, "made-by-hikari", reason="café ❤")
    await rest.delete_channel(made)
    hook = await rest.create_webhook(CHANNEL, "hook of hikari")
    await rest.execute_webhook(hook, hook.token, "hikari by webhook")
    await rest.delete_webhook(hook)
    await rest.delete_message(CHANNEL, message)
    burst = (rest.create_message(CHANNEL, f"hikari burst {number}") for number in range(BURST))
    assert len({each.id for each in await asyncio.gather(*burst)}) == BURST
    assert await code_of(rest.fetch_channel(1)) == 10003


async def code_of(call) -> int:
    """Return Discord's code of the error that a call ends with."""
    try:
        await call
    except hikari.NotFoundError as error:
        return error.code
    return 0


async def main() -> None:
    url = f"{URL}{f'/wait={WAIT}' if WAIT else ''}/app=hikari/api/v10"
    timeouts = hikari.impl.HTTPTimeoutSettings(total=300) if WAIT else hikari.impl.HTTPTimeoutSettings()
    app = hikari.RESTApp(url=url, http_settings=hikari.impl.HTTPSettings(timeouts=timeouts))
    await app.start()
    try:
        async with app.acquire(TOKEN, hikari.TokenType.BOT) as rest:
            await operations(rest)
    finally:
        await app.close()


asyncio.run(main())

"""hikari on the REST port: only the URL is changed."""

import asyncio

import hikari
from driver import BASE, CHANNEL, FILE, GUILD, REASON, TOKEN, burst, run_snippet, serve


async def operations(app: hikari.RESTApp, rest: hikari.api.RESTClient, interaction) -> None:
    message = await rest.create_message(CHANNEL, "hello")
    await rest.edit_message(CHANNEL, message, "edited")
    await rest.add_reaction(CHANNEL, message, "\N{THUMBS UP SIGN}")
    uploaded = await rest.create_message(CHANNEL, "uploads", attachment=hikari.Bytes(FILE, "three-mib.bin"))
    assert uploaded.attachments[0].size == len(FILE)
    assert (await rest.fetch_guild(GUILD)).id == GUILD
    assert len(await rest.fetch_members(GUILD).limit(3)) == 3
    made = await rest.create_guild_text_channel(GUILD, "made", reason=REASON)
    await rest.delete_channel(made)
    hook = await rest.create_webhook(CHANNEL, "hook")
    async with app.acquire(None) as anonymous:
        await anonymous.execute_webhook(hook, hook.token, "by webhook")
        assert await code_of(anonymous.execute_webhook(hook, "wrong", "not sent")) == 50027
    await rest.delete_webhook(hook)
    await rest.delete_message(CHANNEL, message)
    kind = hikari.ResponseType.MESSAGE_CREATE
    await rest.create_interaction_response(int(interaction["id"]), interaction["token"], kind, "answers")
    assert await code_of(rest.fetch_channel(1)) == 10003


async def code_of(call) -> int:
    """Return Discord's code of the error that a call ends with."""
    try:
        await call
    except (hikari.NotFoundError, hikari.UnauthorizedError) as error:
        return error.code
    return 0


async def main() -> None:
    app = run_snippet().get("app") or hikari.RESTApp(url=f"{BASE}/api/v10")
    await app.start()
    try:
        async with app.acquire(TOKEN, hikari.TokenType.BOT) as rest:
            await serve(
                {
                    "operations": lambda command: operations(app, rest, command["interaction"]),
                    "burst": lambda command: burst(
                        command["number"], lambda content: rest.create_message(CHANNEL, content), command["content"]
                    ),
                    "send": lambda command: _quiet(rest.create_message(CHANNEL, command["content"])),
                    "channel": lambda command: _quiet(rest.create_guild_text_channel(GUILD, command["content"])),
                }
            )
    finally:
        await app.close()


async def _quiet(call) -> None:
    await call


asyncio.run(main())

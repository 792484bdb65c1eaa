"""The whole bot of discord.py: login, slash commands and interactions, with REST on the port."""

import asyncio
import io
import os
from collections import defaultdict

import discord
import yarl
from discord import app_commands
from discord.ext import commands
from driver import BASE, CHANNEL, FILE, SNIPPET, TOKEN, run_snippet, serve

if not SNIPPET:
    discord.http.Route.BASE = f"{BASE}/api/v10"
run_snippet()
discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(os.environ["GATEWAY"])  # discord.py requests no address

outcomes: dict[str, asyncio.Future] = defaultdict(lambda: asyncio.get_running_loop().create_future())
bot = commands.Bot("!", intents=discord.Intents(guilds=True))


@bot.tree.command(description="d")
async def reply(interaction: discord.Interaction) -> None:
    await interaction.response.send_message("reply of discord.py")


async def deferred(interaction: discord.Interaction) -> str:
    await interaction.response.defer(thinking=True)
    await interaction.edit_original_response(content="deferred and edited")
    await interaction.followup.send("followed up")
    return (await interaction.original_response()).content


@bot.tree.command(description="d")
async def defer(interaction: discord.Interaction) -> str:
    return await deferred(interaction)


@bot.tree.command(description="d")
async def slow(interaction: discord.Interaction, seconds: float) -> None:
    await asyncio.sleep(seconds)
    await interaction.response.send_message(f"late by {seconds:g}")


@bot.tree.command(description="d")
async def slow_defer(interaction: discord.Interaction, seconds: float) -> str:
    await asyncio.sleep(seconds)
    return await deferred(interaction)


@bot.tree.command(description="d")
async def slow_file(interaction: discord.Interaction, seconds: float) -> None:
    await asyncio.sleep(seconds)
    await interaction.response.send_message("file", file=discord.File(io.BytesIO(FILE), filename="a.bin"))


@bot.tree.command(description="d")
async def file(interaction: discord.Interaction) -> None:
    await slow_file.callback(interaction, 0)


@slow.autocomplete("seconds")
async def choices(interaction: discord.Interaction, current: float) -> list[app_commands.Choice]:
    return [app_commands.Choice(name=str(current), value=1.0)]


@bot.tree.command(description="d")
async def fetched(interaction: discord.Interaction) -> str:
    answer = await interaction.response.send_message("with response")
    return answer.resource.content


@bot.tree.command(description="d")
async def button(interaction: discord.Interaction) -> None:
    await interaction.response.send_message("click", view=Click(timeout=None))


@bot.tree.command(description="d")
async def ask(interaction: discord.Interaction) -> None:
    await interaction.response.send_modal(Question(title="m", custom_id="m"))


class Click(discord.ui.View):
    @discord.ui.button(label="b", custom_id="b")
    async def clicked(self, interaction: discord.Interaction, _button: discord.ui.Button) -> None:
        await interaction.response.edit_message(content="clicked", view=None)
        outcomes[str(interaction.id)].set_result({})

    @discord.ui.button(label="slow", custom_id="slow")
    async def clicked_slowly(self, interaction: discord.Interaction, _button: discord.ui.Button) -> None:
        await asyncio.sleep(4.5)
        await self.clicked.callback(interaction)


class Question(discord.ui.Modal):
    text = discord.ui.TextInput(label="text", custom_id="text")

    async def on_submit(self, interaction: discord.Interaction) -> None:
        await interaction.response.send_message(f"modal: {self.text.value}")
        outcomes[str(interaction.id)].set_result({})


async def recorded(interaction: discord.Interaction, call) -> None:
    try:
        result = {"value": await call or ""}
    except Exception as error:  # noqa: BLE001 - the runner judges it
        result = {"error": repr(error)}
    outcomes[str(interaction.id)].set_result(result)


async def register(_command) -> dict:
    return {"names": [each.name for each in await bot.tree.sync()]}


async def outcome(command) -> dict:
    return await outcomes[command["id"]]


async def send(command) -> None:
    await (await bot.fetch_channel(CHANNEL)).send(command["content"])


async def main() -> None:
    async with bot:
        running = asyncio.create_task(bot.start(TOKEN))
        await asyncio.sleep(0)
        while not bot.is_ready():
            if running.done():
                running.result()
            await asyncio.sleep(0.05)
        await serve({"register": register, "outcome": outcome, "send": send})


def record_commands() -> None:
    """Keep how each command ends: discord.py only logs it."""
    for command in bot.tree.get_commands():
        callback = command._callback

        async def wrapped(interaction, *args, callback=callback, **kwargs) -> None:
            await recorded(interaction, callback(interaction, *args, **kwargs))

        command._callback = wrapped


record_commands()
asyncio.run(main())

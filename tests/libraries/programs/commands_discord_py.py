"""discord.py's command tree on the REST port: `tree.sync` replaces the list of commands, as in every bot."""

import asyncio
import json
import os
import sys

import discord
from discord import app_commands

NAMES, GUILD = sys.argv[1].split(","), int(sys.argv[2])
discord.http.Route.BASE = os.environ["BASE_URL"]


def command(name: str) -> app_commands.Command:
    @app_commands.describe(item="What to buy")
    async def callback(interaction: discord.Interaction, item: str) -> None:
        await interaction.response.send_message(item)

    made = app_commands.Command(name=name, description=f"{name} of discord.py", callback=callback)
    made.default_permissions = discord.Permissions(manage_guild=True)
    return made


async def main() -> None:
    client = discord.Client(intents=discord.Intents.none())
    tree = app_commands.CommandTree(client)
    scope = discord.Object(GUILD) if GUILD else None
    await client.login(os.environ["TOKEN"])
    try:
        for name in filter(None, NAMES):
            tree.add_command(command(name), guild=scope)
        synchronized = await tree.sync(guild=scope)
        fetched = await tree.fetch_commands(guild=scope)
    finally:
        await client.close()
    found = {"set": [each.name for each in synchronized], "fetched": [each.name for each in fetched]}
    print(json.dumps(found))  # noqa: T201 - the result


asyncio.run(main())

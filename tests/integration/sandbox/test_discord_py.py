"""An unmodified discord.py works with the sandbox."""

import asyncio
import importlib
import io

import pytest
from yarl import URL

from discordproxy_sandbox.world.population import CHANNEL_ID, GUILD_ID, TOKEN, USER_ID

pytestmark = pytest.mark.filterwarnings("ignore:'audioop' is deprecated:DeprecationWarning")  # discord.py's player


@pytest.fixture
def library(discord, monkeypatch):
    """discord.py, pointed at the sandbox."""
    library = importlib.import_module("discord")
    monkeypatch.setattr(library.http.Route, "BASE", discord.rest_url)
    monkeypatch.setattr(library.gateway.DiscordWebSocket, "DEFAULT_GATEWAY", URL(discord.gateway_url))
    return library


async def test_discord_py_logs_in_chunks_sends_and_resumes(discord, library):
    client = library.Client(intents=library.Intents.all())
    ready, resumed, heard = asyncio.Event(), asyncio.Event(), asyncio.Queue()

    @client.event
    async def on_ready():
        ready.set()

    @client.event
    async def on_resumed():
        resumed.set()

    @client.event
    async def on_message(message):
        heard.put_nowait(message.content)

    running = asyncio.create_task(client.start("token"))
    try:
        await asyncio.wait_for(ready.wait(), 60)
        [guild] = client.guilds
        assert {member.name for member in guild.members} == {"sandbox-bot", "ada", "grace", "alan", "edsger", "barbara"}
        embed = library.Embed(title="title").set_image(url="https://example.com/a.png")
        message = await guild.get_channel(int(CHANNEL_ID)).send("hello", embed=embed)
        assert message.embeds[0].image.proxy_url
        assert await asyncio.wait_for(heard.get(), 60) == "hello"
        await message.edit(content="edited")
        await message.delete()
        await (await client.fetch_user(int(USER_ID))).send("psst")
        assert await asyncio.wait_for(heard.get(), 60) == "psst"
        discord.gateway.drop()
        discord.people.write(CHANNEL_ID, USER_ID, "while you were away")
        await asyncio.wait_for(resumed.wait(), 60)
        assert await asyncio.wait_for(heard.get(), 60) == "while you were away"
    finally:
        await client.close()
        await running
    assert discord.gateway.stats.identifies == 1
    assert discord.gateway.stats.resumes == 1
    assert discord.gateway.stats.violations == []
    assert discord.ledger.stats()["429"]["avoidable"] == 0


async def test_discord_py_syncs_its_commands(discord, library):
    client = library.Client(intents=library.Intents.none())
    tree = library.app_commands.CommandTree(client)

    @tree.command(description="Says pong")
    async def ping(interaction, word: str): ...

    await client.login(TOKEN)
    try:
        [synced] = await tree.sync()
        [fetched] = await tree.fetch_commands()
        assert (synced.name, fetched.id, fetched.options[0].name) == ("ping", synced.id, "word")
        assert [command.id for command in await tree.sync()] == [synced.id]
        guild = library.Object(int(GUILD_ID))
        tree.copy_global_to(guild=guild)
        assert (await tree.sync(guild=guild))[0].guild_id == guild.id
    finally:
        await client.close()


async def test_discord_py_creates_objects_that_the_sandbox_does_not_store(discord, library):
    client = library.Client(intents=library.Intents.none())
    await client.login(TOKEN)
    try:
        guild = await client.fetch_guild(int(GUILD_ID))
        template = await guild.create_template(name="t")
        assert template.source_guild.name == "Sandbox"
        picture = library.File(io.BytesIO(b"x"), "a.png")
        assert (await guild.create_sticker(name="st", description="d", emoji="x", file=picture)).name == "st"
        trigger = library.AutoModTrigger(type=library.AutoModRuleTriggerType.spam)
        rule = await guild.create_automod_rule(
            name="r",
            event_type=library.AutoModRuleEventType.message_send,
            trigger=trigger,
            actions=[library.AutoModRuleAction()],
        )
        assert (rule.name, rule.enabled) == ("r", False)
    finally:
        await client.close()

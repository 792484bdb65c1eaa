"""Roles of members are as strict as at Discord: hierarchy, managed and unknown roles, absent members, the intent."""

import pytest

from discordproxy_sandbox.gateway.gateway import GatewayConfig
from discordproxy_sandbox.sandbox import SandboxConfig
from discordproxy_sandbox.world.population import GUILD_ID, ROLE_ID, USER_ID, nth

ADMIN, MODERATOR, MEMBER, BOT_ROLE = (nth(ROLE_ID, number) for number in range(4))
ABSENT = nth(USER_ID, 99)
MEMBER_URL = f"/guilds/{GUILD_ID}/members/{USER_ID}"


@pytest.fixture
async def change_roles(discord, http):
    """Change roles of a member: `await change_roles("PATCH", [role])`; returns Discord's code, 0 for success."""

    async def change(method, roles, member=MEMBER_URL):
        url = discord.rest_url + member
        if method == "PATCH":
            options = {"json": {"roles": roles}}
        else:
            options, url = {}, f"{url}/roles/{roles}"
        async with http.request(method, url, **options) as response:
            return 0 if response.status < 300 else (await response.json())["code"]

    return change


async def test_roles_are_assigned_below_the_bots_highest_role_only(discord, change_roles):
    roles = discord.world.guilds[GUILD_ID].roles
    assert await change_roles("PATCH", [ADMIN, MODERATOR]) == 0
    roles[BOT_ROLE]["position"] = 2  # as the moderators; the bot's role is the younger one, so it is below theirs
    discord.world.guilds[GUILD_ID].members.get(discord.world.bot_id)["roles"] = [BOT_ROLE]
    roles[BOT_ROLE]["permissions"] = str(1 << 28)
    assert await change_roles("PATCH", [ADMIN, MODERATOR, MEMBER]) == 0  # the higher roles do not change
    assert [await change_roles("PATCH", [ADMIN, MEMBER]), await change_roles("PATCH", [MODERATOR])] == [50013, 50013]
    assert [await change_roles(method, MODERATOR) for method in ("PUT", "DELETE")] == [50013, 50013]
    assert await change_roles("DELETE", MEMBER) == 0
    roles[BOT_ROLE]["permissions"] = "0"
    assert await change_roles("PUT", MEMBER) == 50013


async def test_roles_that_cannot_be_assigned(discord, change_roles):
    unknown = nth(ROLE_ID, 9)
    assert await change_roles("PATCH", [MEMBER, unknown]) == 10011
    assert await change_roles("PUT", unknown) == 10011
    assert await change_roles("PATCH", [MEMBER, BOT_ROLE]) == 50028
    assert [await change_roles(method, BOT_ROLE) for method in ("PUT", "DELETE")] == [50028, 50028]
    assert [await change_roles("PATCH", [GUILD_ID]), await change_roles("PUT", GUILD_ID)] == [50028, 50028]
    discord.world.guilds[GUILD_ID].roles[MEMBER]["managed"] = True
    assert await change_roles("PATCH", [MEMBER, MODERATOR]) == 0  # a managed role stays
    assert await change_roles("PATCH", [MODERATOR]) == 50028
    discord.people.add("absent", ABSENT)
    absent = MEMBER_URL.replace(USER_ID, ABSENT)
    assert await change_roles("PATCH", [MODERATOR], absent) == 10007
    assert await change_roles("PUT", MODERATOR, absent) == 10007


@pytest.mark.parametrize("discord", [SandboxConfig(gateway=GatewayConfig(privileged=0))], indirect=True)
async def test_members_are_listed_with_the_privileged_intent_only(discord, http):
    async with http.get(f"{discord.rest_url}/guilds/{GUILD_ID}/members") as response:
        assert (response.status, (await response.json())["code"]) == (403, 50001)

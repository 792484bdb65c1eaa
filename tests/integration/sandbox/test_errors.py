"""Discord's refusals with their codes."""

from io import BytesIO

import aiohttp
import pytest

from discordproxy_sandbox.limits.book import LimitBook
from discordproxy_sandbox.sandbox import Sandbox, SandboxConfig
from discordproxy_sandbox.world.population import BOT_ID, CHANNEL_ID, GUILD_ID, ROLE_ID, THREAD_ID, USER_ID, nth

pytestmark = pytest.mark.parametrize(
    "discord", [SandboxConfig(limits=LimitBook(default=None, global_limit=None))], indirect=True
)
CHANNEL, GUILD = f"/channels/{CHANNEL_ID}", f"/guilds/{GUILD_ID}"
MESSAGES, MEMBERS = f"{CHANNEL}/messages", f"{GUILD}/members"
COMMANDS = f"/applications/{BOT_ID}/commands"
VOICE, FORUM = nth(CHANNEL_ID, 2), nth(CHANNEL_ID, 3)

REFUSED = [
    # unknown objects
    ("GET", "/channels/1", None, 404, 10003),
    ("POST", "/channels/1/messages", {"content": "x"}, 404, 10003),
    ("GET", f"{MESSAGES}/1", None, 404, 10008),
    ("DELETE", f"{MESSAGES}/1", None, 404, 10008),
    ("GET", "/guilds/1", None, 404, 10004),
    ("GET", f"{MEMBERS}/1", None, 404, 10013),
    ("DELETE", f"{GUILD}/roles/1", None, 404, 10011),
    ("PUT", f"{MEMBERS}/{USER_ID}/roles/1", None, 404, 10011),
    ("GET", f"{GUILD}/bans/{USER_ID}", None, 404, 10026),
    ("DELETE", f"{GUILD}/bans/{USER_ID}", None, 404, 10026),
    ("GET", "/users/1", None, 404, 10013),
    ("POST", "/users/@me/channels", {"recipient_id": "1"}, 404, 10013),
    ("DELETE", "/invites/nope", None, 404, 10006),
    ("DELETE", "/webhooks/1", None, 404, 10015),
    ("POST", "/webhooks/1/token", {"content": "x"}, 404, 10015),
    ("DELETE", f"{CHANNEL}/permissions/{USER_ID}", None, 404, 10009),
    ("PUT", f"{CHANNEL}/permissions/1", {"allow": "0"}, 404, 10009),
    ("DELETE", f"{GUILD}/scheduled-events/1", None, 404, 10070),
    ("POST", "/interactions/1/token/callback", {"type": 5}, 404, 10062),
    ("GET", f"{GUILD}/voice-states/{USER_ID}", None, 404, 10065),
    ("GET", f"{COMMANDS}/1", None, 404, 10063),
    ("PATCH", f"{COMMANDS}/1", {"name": "x"}, 404, 10063),
    ("DELETE", f"{COMMANDS}/1", None, 404, 10063),
    ("GET", f"/applications/{BOT_ID}/guilds/{GUILD_ID}/commands/1/permissions", None, 404, 10066),
    ("GET", "/applications/1/commands", None, 403, 20012),
    # refused actions
    ("POST", MESSAGES, {"content": "  "}, 400, 50006),
    ("POST", MESSAGES, {}, 400, 50006),
    ("POST", f"/channels/{FORUM}/messages", {"content": "x"}, 400, 50008),
    ("POST", f"{MESSAGES}/bulk-delete", {"messages": ["1"]}, 400, 50016),
    ("POST", f"{MESSAGES}/bulk-delete", {"messages": ["1", "2"]}, 400, 50034),
    ("POST", "/users/@me/channels", {"recipient_id": BOT_ID}, 400, 50033),
    ("POST", f"/channels/{VOICE}/threads", {"name": "t"}, 400, 50024),
    ("DELETE", f"{GUILD}/roles/{GUILD_ID}", None, 403, 50028),
    ("PATCH", f"{MEMBERS}/{USER_ID}", {"channel_id": VOICE}, 400, 40032),
    ("POST", f"{GUILD}/bulk-ban", {"user_ids": ["1"]}, 400, 500000),
    ("POST", MESSAGES, {"sticker_ids": ["1"]}, 404, 10060),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "code"), REFUSED)
async def test_codes(discord, http, method, path, body, status, code):
    async with http.request(method, discord.rest_url + path, json=body) as response:
        answer = await response.json()
    assert (response.status, answer["code"]) == (status, code)
    assert answer["message"]
    assert discord.ledger.stored == []


def embeds(**embed):
    return {"embeds": [embed]}


INVALID = [
    (MESSAGES, {"content": "x" * 2001}, "content", "BASE_TYPE_MAX_LENGTH"),
    (MESSAGES, {"content": 5}, "content", "STRING_TYPE_CONVERT"),
    (MESSAGES, {"content": "x", "tts": "yes"}, "tts", "BOOLEAN_TYPE_CONVERT"),
    (MESSAGES, {"content": "x", "nonce": "n" * 26}, "nonce", "BASE_TYPE_MAX_LENGTH"),
    (MESSAGES, {"embeds": [{"title": "t"}] * 11}, "embeds", "BASE_TYPE_MAX_LENGTH"),
    (MESSAGES, {"embeds": "t"}, "embeds", "LIST_TYPE_CONVERT"),
    (MESSAGES, {"embeds": ["t"]}, "embeds.0", "DICT_TYPE_CONVERT"),
    (MESSAGES, embeds(title="t" * 257), "embeds.0.title", "BASE_TYPE_MAX_LENGTH"),
    (MESSAGES, embeds(color=1 << 24), "embeds.0.color", "NUMBER_TYPE_MAX"),
    (MESSAGES, embeds(timestamp="noon"), "embeds.0.timestamp", "DATE_TIME_TYPE_PARSE"),
    (MESSAGES, embeds(url="ftp://x"), "embeds.0.url", "URL_TYPE_INVALID_URL"),
    (
        MESSAGES,
        {"embeds": [{"title": "x", "footer": {"text": "x" * 2049}}]},
        "embeds.0.footer.text",
        "BASE_TYPE_MAX_LENGTH",
    ),
    (MESSAGES, embeds(fields=[{"name": "n"}]), "embeds.0.fields.0.value", "BASE_TYPE_REQUIRED"),
    (MESSAGES, embeds(fields=[{"name": "n", "value": "v"}] * 26), "embeds.0.fields", "BASE_TYPE_MAX_LENGTH"),
    (MESSAGES, {"embeds": [{"description": "d" * 4000}] * 2}, "embeds", "MAX_EMBED_SIZE_EXCEEDED"),
    (MESSAGES, {"sticker_ids": ["1", "2", "3", "4"]}, "sticker_ids", "BASE_TYPE_MAX_LENGTH"),
    (MESSAGES, {"components": [{"type": 2, "style": 1}]}, "components.0.type", "BASE_TYPE_CHOICES"),
    (MESSAGES, {"components": [{"type": 10, "content": "x"}]}, "components.0.type", "BASE_TYPE_CHOICES"),
    (
        MESSAGES,
        {"content": "x", "flags": 1 << 15, "components": [{"type": 10, "content": "x"}]},
        "content",
        "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2",
    ),
    (MESSAGES, {"flags": 1 << 15, "components": [{"type": 14}] * 41}, "components", "BASE_TYPE_MAX_LENGTH"),
    (
        MESSAGES,
        {"content": "x", "message_reference": {"message_id": "1"}},
        "message_reference",
        "REPLIES_UNKNOWN_MESSAGE",
    ),
    (COMMANDS, {"name": "x"}, "description", "BASE_TYPE_REQUIRED"),
    (COMMANDS, {"name": "Loud", "description": "x"}, "name", "APPLICATION_COMMAND_INVALID_NAME"),
    (COMMANDS, {"name": "x" * 33, "description": "x"}, "name", "BASE_TYPE_BAD_LENGTH"),
    (
        MESSAGES,
        {"flags": 32768, "components": [{"type": 13, "file": {"url": "attachment://no.txt"}}]},
        "components",
        "UNFURLED_MEDIA_ITEM_REFERENCED_ATTACHMENT_NOT_FOUND",
    ),
    (MESSAGES, {"content": "x", "attachments": [{"id": 0}]}, "attachments.0", "ATTACHMENT_NOT_FOUND"),
    (
        MESSAGES,
        {"content": "x", "allowed_mentions": {"parse": ["all"]}},
        "allowed_mentions.parse.0",
        "BASE_TYPE_CHOICES",
    ),
    (MESSAGES, {"poll": {"question": {"text": "?"}, "answers": []}}, "poll.answers", "BASE_TYPE_BAD_LENGTH"),
    ("/channels/x/messages", {"content": "x"}, "channel_id", "NUMBER_TYPE_COERCE"),
    (f"{GUILD}/channels", {"type": 0}, "name", "BASE_TYPE_REQUIRED"),
    (f"{GUILD}/channels", {"name": "x", "type": 1}, "type", "BASE_TYPE_CHOICES"),
    (f"{CHANNEL}/webhooks", {"name": "Discord hook"}, "name", "USERNAME_INVALID_CONTAINS"),
    (f"{CHANNEL}/threads", {"name": "t", "auto_archive_duration": 5}, "auto_archive_duration", "BASE_TYPE_CHOICES"),
    (f"/channels/{FORUM}/threads", {"name": "t"}, "message", "BASE_TYPE_REQUIRED"),
    (f"{GUILD}/bulk-ban", {"user_ids": ["1"] * 201}, "user_ids", "BASE_TYPE_BAD_LENGTH"),
    (
        f"{GUILD}/scheduled-events",
        {"name": "e", "privacy_level": 2, "entity_type": 3, "scheduled_start_time": "2030-01-01T00:00:00Z"},
        "entity_metadata",
        "BASE_TYPE_REQUIRED",
    ),
]


@pytest.mark.parametrize(("path", "body", "where", "code"), INVALID)
async def test_invalid_forms_name_the_field(discord, http, path, body, where, code):
    async with http.post(discord.rest_url + path, json=body) as response:
        answer = await response.json()
    assert (response.status, answer["code"], answer["message"]) == (400, 50035, "Invalid Form Body")
    found = answer["errors"]
    for key in where.split("."):
        found = found[key]
    assert [error["code"] for error in found["_errors"]] == [code]
    assert discord.ledger.stored == []


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "after=x"])
async def test_invalid_queries(discord, http, query):
    async with http.get(f"{discord.rest_url}{MESSAGES}?{query}") as response:
        assert (response.status, (await response.json())["code"]) == (400, 50035)


async def test_codes_that_need_several_requests(discord, http):
    async def code(method, path, body=None):
        async with http.request(method, discord.rest_url + path, json=body) as response:
            return (await response.json())["code"]

    theirs = discord.people.write(CHANNEL_ID, USER_ID, "mine")["id"]
    assert await code("PATCH", f"{MESSAGES}/{theirs}", {"content": "x"}) == 50005
    assert await code("POST", f"{MESSAGES}/{theirs}/crosspost") == 50024
    dm = discord.people.write_dm(USER_ID, "hi")["channel_id"]
    discord.world.forbid(USER_ID, 50007)
    assert await code("POST", f"/channels/{dm}/messages", {"content": "x"}) == 50007
    assert await code("PATCH", f"/channels/{dm}", {"name": "x"}) == 50003
    news = nth(CHANNEL_ID, 1)
    async with http.post(f"{discord.rest_url}/channels/{news}/messages", json={"content": "n"}) as response:
        published = (await response.json())["id"]
    async with http.post(f"{discord.rest_url}/channels/{news}/messages/{published}/crosspost") as response:
        assert response.status == 200
    assert await code("POST", f"/channels/{news}/messages/{published}/crosspost") == 40033
    thread = f"/channels/{CHANNEL_ID}/messages/{theirs}/threads"
    async with http.post(discord.rest_url + thread, json={"name": "t"}) as response:
        assert response.status == 201
    assert await code("POST", thread, {"name": "t"}) == 160004
    for _ in range(15):
        async with http.post(f"{discord.rest_url}{CHANNEL}/webhooks", json={"name": "h"}) as response:
            assert response.status == 200
    assert await code("POST", f"{CHANNEL}/webhooks", {"name": "h"}) == 30007
    discord.people.leave(GUILD_ID, nth(USER_ID, 4))
    assert await code("GET", f"{MEMBERS}/{nth(USER_ID, 4)}") == 10007
    assert await code("PUT", f"{MEMBERS}/{USER_ID}/roles/{ROLE_ID}") == 50007  # the object is forbidden still


async def test_an_interaction_is_answered_once_and_in_time(discord, http):
    first = discord.people.interact(CHANNEL_ID, USER_ID)
    async with aiohttp.ClientSession() as anonymous:

        async def respond(interaction, **body):
            path = f"/interactions/{interaction['id']}/{interaction['token']}/callback"
            async with anonymous.post(discord.rest_url + path, json=body) as response:
                return response.status, await response.json() if response.status != 204 else None

        assert (await respond(first, type=4, data={"content": "pong"}))[0] == 204
        assert (await respond(first, type=4, data={"content": "pong"}))[1]["code"] == 40060
        late = discord.people.interact(CHANNEL_ID, USER_ID)
        discord.world.interactions[late["token"]]["created_at"] -= 4
        assert (await respond(late, type=5))[1]["code"] == 10062
        discord.world.interactions[first["token"]]["created_at"] -= 1000
        url = f"{discord.rest_url}/webhooks/{BOT_ID}/{first['token']}"
        async with anonymous.post(url, json={"content": "x"}) as response:
            assert (await response.json())["code"] == 50027


async def test_uploads_have_limits(discord, http):
    form = aiohttp.FormData()
    form.add_field("files[0]", BytesIO(bytes(10 * 1024 * 1024 + 1)), filename="big.bin")
    async with http.post(discord.rest_url + MESSAGES, data=form) as response:
        assert (response.status, (await response.json())["code"]) == (413, 40005)
    form = aiohttp.FormData()
    for number in range(3):
        form.add_field(f"files[{number}]", BytesIO(bytes(9 * 1024 * 1024)), filename=f"{number}.bin")
    async with http.post(discord.rest_url + MESSAGES, data=form) as response:
        assert (response.status, (await response.json())["code"]) == (413, 40005)
    assert discord.ledger.stored == []


async def test_bodies_that_are_no_json(discord, http):
    headers = {"Content-Type": "application/json"}
    async with http.post(discord.rest_url + MESSAGES, data=b"{", headers=headers) as response:
        assert (response.status, (await response.json())["code"]) == (400, 50109)
    async with http.post(discord.rest_url + MESSAGES, data=b"content=x") as response:
        assert (response.status, (await response.json())["code"]) == (400, 50035)


@pytest.mark.parametrize(
    "fields", [{"content": "a & b"}, {"payload_json": '{"content": "a & b"}', "content": "ignored"}]
)
async def test_url_encoded_forms_are_accepted(discord, http, fields):
    """As `curl -d content=...` sends them; py-cord sends messages without files so."""
    async with http.post(discord.rest_url + MESSAGES, data=fields) as response:
        assert (response.status, (await response.json())["content"]) == (200, "a & b")


async def test_a_thread_counts_its_messages(discord, http):
    async with http.post(f"{discord.rest_url}/channels/{THREAD_ID}/messages", json={"content": "x"}) as response:
        message = await response.json()
    data = discord.world.channels[THREAD_ID].data
    assert (data["message_count"], data["last_message_id"]) == (1, message["id"])


async def test_opening_dms_too_fast(discord, http):
    discord.world.new_dms = Sandbox(SandboxConfig(new_dms=2)).world.new_dms
    codes = []
    for number in (0, 1, 0, 2):
        body = {"recipient_id": nth(USER_ID, number)}
        async with http.post(f"{discord.rest_url}/users/@me/channels", json=body) as response:
            codes.append((response.status, (await response.json()).get("code")))
    assert codes == [(200, None), (200, None), (200, None), (403, 40003)]


@pytest.mark.parametrize("pins", [f"{CHANNEL}/messages/pins", f"{CHANNEL}/pins"])
async def test_pinning_needs_a_permission_of_its_own(discord, http, pins):
    """MANAGE_MESSAGES no longer includes it (discord-api-docs#7766)."""
    message_id = discord.people.write(CHANNEL_ID, USER_ID, "x")["id"]
    url, role = f"{discord.rest_url}{pins}/{message_id}", discord.world.guilds[GUILD_ID].roles[ROLE_ID]
    channel = discord.world.channels[CHANNEL_ID].data

    async def codes():
        found = []
        for method in ("PUT", "DELETE"):
            async with http.request(method, url) as response:
                found.append(0 if response.status == 204 else (await response.json())["code"])
        return found

    assert await codes() == [0, 0]  # an administrator
    role["permissions"] = str(1 << 13)
    assert await codes() == [50013, 50013]
    role["permissions"] = str(1 << 51)
    assert await codes() == [0, 0]
    denied = {"id": ROLE_ID, "type": 0, "allow": "0", "deny": str(1 << 51)}
    channel["permission_overwrites"] = [denied]
    assert await codes() == [50013, 50013]
    channel["permission_overwrites"] = [denied, {"id": BOT_ID, "type": 1, "allow": str(1 << 51), "deny": "0"}]
    assert await codes() == [0, 0]

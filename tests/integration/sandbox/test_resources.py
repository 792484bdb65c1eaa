"""Every route that acts on the world succeeds once; with the OpenAPI description, its schema judges the responses."""

import json
from copy import deepcopy
from typing import Any

import aiohttp
import jsonschema_rs
import pytest

from discordproxy_sandbox.limits.book import LimitBook
from discordproxy_sandbox.resources import generic
from discordproxy_sandbox.sandbox import Sandbox, SandboxConfig
from discordproxy_sandbox.world.population import BOT_ID, CHANNEL_ID, GUILD_ID, ROLE_ID, THREAD_ID, USER_ID, nth
from strategies.discord_spec import FOLDER, openapi, routes

ANNOUNCEMENTS, VOICE, FORUM = nth(CHANNEL_ID, 1), nth(CHANNEL_ID, 2), nth(CHANNEL_ID, 3)
GRACE, ALAN, EDSGER = (nth(USER_ID, number) for number in (1, 2, 3))
MEMBER_ROLE = nth(ROLE_ID, 2)
UNLIMITED = SandboxConfig(limits=LimitBook(default=None, global_limit=None))

CHECKS = "the answers of the sandbox's routes against Discord's own description, 150 calls"


class Judge:
    """Says what is wrong with an answer, by Discord's own description."""

    def __init__(self) -> None:
        self.spec = deepcopy(openapi(CHECKS)) if (FOLDER / "openapi.json").exists() else None
        if self.spec:  # a known error of the description: it has no forwards
            self.spec["components"]["schemas"]["MessageReferenceType"]["oneOf"].append({"const": 1})

    def errors(self, method: str, template: str, status: int, content: Any) -> list[str]:
        if self.spec is None:
            return []
        responses = self.spec["paths"][template][method.lower()]["responses"]
        if str(status) not in responses:
            return [f"status {status} is none of {list(responses)}"]
        schema = responses[str(status)].get("content", {}).get("application/json", {}).get("schema")
        if schema is None:
            return ["a body where none belongs"] if content is not None else []
        validator = jsonschema_rs.Draft202012Validator({**schema, "components": self.spec["components"]})
        return [f"{list(error.instance_path)}: {error.message}"[:300] for error in validator.iter_errors(content)]


@pytest.mark.skipif(not (FOLDER / "openapi.json").exists(), reason=f"NOT CHECKED: {CHECKS}; {FOLDER} is missing")
def test_the_schema_is_available_and_strict():
    judge = Judge()
    assert judge.errors("GET", "/users/{user_id}", 200, {"id": "1"})
    assert judge.errors("GET", "/users/{user_id}", 418, None)


class Caller:
    """Makes calls by template, remembers what the answers were, and has each judged."""

    def __init__(self, discord: Sandbox, http: aiohttp.ClientSession) -> None:
        self.discord, self.http, self.judge = discord, http, Judge()
        self.made: set[str] = set()
        self.wrong: list[str] = []

    async def __call__(self, route: str, *params: str, body: Any = None, query: str = "", token: bool = True, **form):
        method, template = route.split(" ")
        path = template
        for param in params:
            start, end = path.index("{"), path.index("}")
            path = path[:start] + param + path[end + 1 :]
        headers = {} if token else {"Authorization": ""}
        kwargs = {"data": form["data"]} if form else {"json": body} if body is not None else {}
        session = self.http
        if not token:
            session = aiohttp.ClientSession(headers={"User-Agent": "DiscordBot (x, 1)"})
            headers = {}
        try:
            url = f"{self.discord.rest_url}{path}{query}"
            async with session.request(method, url, headers=headers, **kwargs) as response:
                raw = await response.read()
        finally:
            if not token:
                await session.close()
        content = json.loads(raw) if raw else None
        assert response.status < 300, (route, content)
        self.made.add(route)
        self.wrong += [f"{route} {error}" for error in self.judge.errors(method, template, response.status, content)]
        return content

    async def refused(self, method: str, path: str, body: Any) -> Any:
        """Return the error of an invalid request."""
        async with self.http.request(method, f"{self.discord.rest_url}{path}", json=body) as response:
            assert response.status == 400
            return await response.json()


@pytest.fixture
async def call(http):
    async with Sandbox(UNLIMITED) as discord:
        caller = Caller(discord, http)
        yield caller
        assert caller.wrong == []
        assert [v for v in discord.ledger.violations if "Authorization" not in v] == []


M = "/channels/{channel_id}/messages"
ONE_THING = ("@me", "userinfo", "permissions", "job-status", "target-users", "widget.png")
"""Ends of generic routes that read no list; no promise is made about what they answer."""


def upload(payload: dict, *files: tuple[str, bytes]) -> dict[str, aiohttp.FormData]:
    form = aiohttp.FormData()
    form.add_field("payload_json", json.dumps(payload), content_type="application/json")
    for number, (name, content) in enumerate(files):
        form.add_field(f"files[{number}]", content, filename=name)
    return {"data": form}


async def test_messages(call):
    embed = {
        "title": "t",
        "description": "d",
        "footer": {"text": "f", "icon_url": "https://example.com/i.png"},
        "image": {"url": "attachment://a.png"},
        "author": {"name": "a", "icon_url": "https://example.com/i.png"},
        "fields": [{"name": "n", "value": "v", "inline": True}],
    }
    attachments = [{"id": 0}, {"id": 1, "description": "alt", "filename": "b.txt"}]
    payload = {"content": f"hi <@{USER_ID}> <@&{MEMBER_ROLE}> @everyone", "embeds": [embed], "attachments": attachments}
    files = [("a.png", b"png"), ("x.txt", b"text")]
    first = await call(f"POST {M}", CHANNEL_ID, **upload(payload, *files))
    assert first["embeds"][0]["image"]["url"].startswith("https://cdn.discordapp.com/attachments/")
    assert first["embeds"][0]["image"]["proxy_url"].startswith("https://media.discordapp.net/")
    assert first["embeds"][0]["footer"]["proxy_icon_url"].startswith("https://images-ext-1.discordapp.net/external/")
    assert [(a["filename"], a["size"], a["description"]) for a in first["attachments"]] == [("b.txt", 4, "alt")]
    assert [user["id"] for user in first["mentions"]] == [USER_ID]
    assert first["mention_roles"] == [MEMBER_ROLE]
    assert first["mention_everyone"] is True
    quiet = {"content": f"hi <@{USER_ID}> @everyone", "allowed_mentions": {"parse": []}, "flags": 4096}
    silent = await call(f"POST {M}", CHANNEL_ID, body=quiet)
    assert (silent["mentions"], silent["mention_everyone"], silent["flags"]) == ([], False, 4096)
    reply = await call(
        f"POST {M}", CHANNEL_ID, body={"content": "re", "message_reference": {"message_id": first["id"]}}
    )
    assert reply["type"] == 19
    assert reply["referenced_message"]["id"] == first["id"]
    forward = {"message_reference": {"type": 1, "message_id": first["id"], "channel_id": CHANNEL_ID}}
    copied = await call(f"POST {M}", THREAD_ID, body=forward)
    assert copied["message_snapshots"][0]["message"]["content"] == first["content"]
    buttons = [{"type": 1, "components": [{"type": 2, "style": 1, "label": "go", "custom_id": "go"}]}]
    await call(f"POST {M}", CHANNEL_ID, body={"content": "press", "components": buttons})
    picture, thumbnail = (
        {"url": "https://example.com/p.png"},
        {"type": 11, "media": {"url": "https://example.com/t.png"}},
    )
    section = {"type": 9, "components": [{"type": 10, "content": "text"}], "accessory": thumbnail}
    gallery = {"type": 12, "items": [{"media": picture}]}
    choice = {"type": 3, "custom_id": "c", "options": [{"label": "a", "value": "b"}]}
    row = {"type": 1, "components": [choice]}
    layout = [{"type": 17, "components": [section, gallery, {"type": 14}, row]}]
    await call(f"POST {M}", CHANNEL_ID, body={"flags": 1 << 15, "components": layout})
    edited = await call(
        f"PATCH {M}/{{message_id}}", CHANNEL_ID, first["id"], body={"content": "new", "attachments": []}
    )
    assert (edited["content"], edited["attachments"], len(edited["embeds"])) == ("new", [], 1)
    assert (await call(f"GET {M}/{{message_id}}", CHANNEL_ID, first["id"]))["edited_timestamp"]
    newest = [one["id"] for one in await call(f"GET {M}", CHANNEL_ID, query="?limit=3")]
    assert newest == sorted(newest, key=int, reverse=True)
    after = await call(f"GET {M}", CHANNEL_ID, query=f"?after={first['id']}&limit=1")
    assert [one["id"] for one in after] == [silent["id"]]
    around = await call(f"GET {M}", CHANNEL_ID, query=f"?around={silent['id']}&limit=3")
    assert [one["id"] for one in around] == [reply["id"], silent["id"], first["id"]]
    before = await call(f"GET {M}", CHANNEL_ID, query=f"?before={silent['id']}")
    assert [one["id"] for one in before] == [first["id"]]
    await call(f"DELETE {M}/{{message_id}}", CHANNEL_ID, reply["id"])
    await call(f"POST {M}/bulk-delete", CHANNEL_ID, body={"messages": [first["id"], silent["id"]]})
    assert {first["id"], silent["id"], reply["id"]}.isdisjoint(call.discord.world.channels[CHANNEL_ID].messages)
    news = await call(f"POST {M}", ANNOUNCEMENTS, body={"content": "news"})
    assert (await call(f"POST {M}/{{message_id}}/crosspost", ANNOUNCEMENTS, news["id"]))["flags"] & 1
    await call("POST /channels/{channel_id}/typing", CHANNEL_ID)


async def test_direct_messages_and_users(call):
    me = await call("GET /users/@me")
    assert me["id"] == call.discord.world.bot_id
    await call("GET /users/{user_id}", USER_ID)
    channel = await call("POST /users/@me/channels", body={"recipient_id": USER_ID})
    assert (await call("POST /users/@me/channels", body={"recipient_id": USER_ID}))["id"] == channel["id"]
    await call(f"POST {M}", channel["id"], body={"content": "psst"})
    await call("PATCH /users/@me", body={"username": "renamed"})
    [guild] = await call("GET /users/@me/guilds", query="?with_counts=true")
    assert guild["approximate_member_count"] == 6
    await call("GET /gateway")
    assert (await call("GET /gateway/bot"))["session_start_limit"]["max_concurrency"] == 1
    await call("GET /applications/@me")
    await call("PATCH /applications/@me", body={"description": "x"})
    await call("GET /oauth2/applications/@me")


async def test_pins_reactions_and_polls(call):
    message = await call(f"POST {M}", CHANNEL_ID, body={"content": "x"})
    for path in (f"{M}/pins", "/channels/{channel_id}/pins"):
        await call(f"PUT {path}/{{message_id}}", CHANNEL_ID, message["id"])
        await call(f"GET {path}", CHANNEL_ID)
    assert (await call(f"GET {M}/pins", CHANNEL_ID))["items"][0]["message"]["pinned"] is True
    for path in (f"{M}/pins", "/channels/{channel_id}/pins"):
        await call(f"DELETE {path}/{{message_id}}", CHANNEL_ID, message["id"])
    reactions = f"{M}/{{message_id}}/reactions"
    one = (CHANNEL_ID, message["id"], "%F0%9F%91%8D")
    await call(f"PUT {reactions}/{{emoji_name}}/@me", *one)
    await call(f"PUT {reactions}/{{emoji_name}}/@me", CHANNEL_ID, message["id"], "blob:123")
    assert len(await call(f"GET {reactions}/{{emoji_name}}", *one)) == 1
    shown = (await call(f"GET {M}/{{message_id}}", CHANNEL_ID, message["id"]))["reactions"]
    assert [(r["emoji"], r["count"], r["me"]) for r in shown] == [
        ({"id": None, "name": "👍"}, 1, True),
        ({"id": "123", "name": "blob"}, 1, True),
    ]
    await call(f"DELETE {reactions}/{{emoji_name}}/@me", *one)
    await call(f"DELETE {reactions}/{{emoji_name}}/{{user_id}}", *one, USER_ID)
    await call(f"DELETE {reactions}/{{emoji_name}}", *one)
    await call(f"DELETE {reactions}", CHANNEL_ID, message["id"])
    answers = [{"poll_media": {"text": "yes"}}, {"poll_media": {"text": "no"}}]
    poll = await call(f"POST {M}", CHANNEL_ID, body={"poll": {"question": {"text": "?"}, "answers": answers}})
    call.discord.people.vote(CHANNEL_ID, poll["id"], 1, USER_ID)
    voters = "GET /channels/{channel_id}/polls/{message_id}/answers/{answer_id}"
    assert [user["id"] for user in (await call(voters, CHANNEL_ID, poll["id"], "1"))["users"]] == [USER_ID]
    ended = await call("POST /channels/{channel_id}/polls/{message_id}/expire", CHANNEL_ID, poll["id"])
    assert ended["poll"]["results"] == {
        "answer_counts": [{"id": 1, "count": 1, "me_voted": False}],
        "is_finalized": True,
    }


async def test_channels(call):
    assert len(await call("GET /guilds/{guild_id}/channels", GUILD_ID)) == 6
    overwrite = {"id": MEMBER_ROLE, "type": 0, "deny": "1024"}
    new = {"name": "new", "type": 0, "topic": "t", "permission_overwrites": [overwrite]}
    channel = await call("POST /guilds/{guild_id}/channels", GUILD_ID, body=new)
    assert channel["permission_overwrites"] == [{"id": MEMBER_ROLE, "type": 0, "allow": "0", "deny": "1024"}]
    await call("GET /channels/{channel_id}", channel["id"])
    changed = await call("PATCH /channels/{channel_id}", channel["id"], body={"topic": None, "nsfw": True})
    assert (changed["topic"], changed["nsfw"], changed["name"]) == (None, True, "new")
    permissions = "/channels/{channel_id}/permissions/{overwrite_id}"
    await call(f"PUT {permissions}", channel["id"], USER_ID, body={"type": 1, "allow": "1024"})
    await call(f"DELETE {permissions}", channel["id"], MEMBER_ROLE)
    left = (await call("GET /channels/{channel_id}", channel["id"]))["permission_overwrites"]
    assert left == [{"id": USER_ID, "type": 1, "allow": "1024", "deny": "0"}]
    await call("DELETE /channels/{channel_id}", channel["id"])
    assert channel["id"] not in call.discord.world.channels


async def test_threads_and_forum_posts(call):
    message = await call(f"POST {M}", CHANNEL_ID, body={"content": "topic"})
    below = await call(f"POST {M}/{{message_id}}/threads", CHANNEL_ID, message["id"], body={"name": "t"})
    assert below["id"] == message["id"]
    threads = "/channels/{channel_id}/threads"
    private = await call(f"POST {threads}", CHANNEL_ID, body={"name": "p", "type": 12, "invitable": False})
    post = await call(f"POST {threads}", FORUM, **upload({"name": "post", "message": {"content": "c"}}, ("a", b"b")))
    assert post["message"]["content"] == "c"
    assert len(post["message"]["attachments"]) == 1
    listed = await call("GET /guilds/{guild_id}/threads/active", GUILD_ID)
    assert len(listed["threads"]) == 4
    members = "/channels/{channel_id}/thread-members"
    await call(f"PUT {members}/{{user_id}}", post["id"], USER_ID)
    assert len(await call(f"GET {members}", post["id"])) == 2
    await call(f"GET {members}/{{user_id}}", post["id"], USER_ID)
    await call(f"DELETE {members}/{{user_id}}", post["id"], USER_ID)
    await call(f"PUT {members}/@me", post["id"])
    await call(f"DELETE {members}/@me", post["id"])
    await call("PATCH /channels/{channel_id}", private["id"], body={"archived": True})
    await call(f"GET {threads}/archived/public", CHANNEL_ID)
    assert len((await call(f"GET {threads}/archived/private", CHANNEL_ID))["threads"]) == 1
    await call("GET /channels/{channel_id}/users/@me/threads/archived/private", CHANNEL_ID)
    await call("DELETE /channels/{channel_id}", post["id"])


async def test_members_of_a_thread_come_in_pages(call):
    path = "/channels/{channel_id}/thread-members"
    for user_id in (USER_ID, GRACE):
        await call(f"PUT {path}/{{user_id}}", THREAD_ID, user_id)
    everybody = await call(f"GET {path}", THREAD_ID, query="?with_member=true")
    ids = [one["user_id"] for one in everybody]
    assert {USER_ID, GRACE} <= set(ids)
    assert everybody[-1]["member"]["user"]["id"] == ids[-1]
    page = await call(f"GET {path}", THREAD_ID, query=f"?with_member=true&limit=1&after={ids[0]}")
    assert [one["user_id"] for one in page] == ids[1:2]
    assert await call(f"GET {path}", THREAD_ID, query=f"?with_member=true&after={ids[-1]}") == []


async def test_a_poll_may_last_a_whole_number_with_a_point(call):
    poll = {"question": {"text": "?"}, "answers": [{"poll_media": {"text": "a"}}], "duration": 1.0}
    assert (await call(f"POST {M}", CHANNEL_ID, body={"poll": poll}))["poll"]


async def test_a_read_of_several_things_finds_none_in_the_form_discord_gives_it(call):
    for route, how in generic.ROUTES.items():
        method, template = route.split(" ")
        if method == "GET" and template.rsplit("/", 1)[1] not in ONE_THING and template[-1] != "}":
            params = [GUILD_ID if part == "{guild_id}" else "5" for part in template.split("/") if part[:1] == "{"]
            if how.auth != "bearer":
                await call(route, *params)
    preview = await call("GET /guilds/{guild_id}/preview", GUILD_ID)
    assert preview["id"] == GUILD_ID
    await call("GET /guilds/{guild_id}/widget.json", GUILD_ID, token=False)


GLOBAL = "/applications/{application_id}/commands"
OF_GUILD = "/applications/{application_id}/guilds/{guild_id}/commands"


@pytest.mark.parametrize(("path", "where"), [(GLOBAL, (BOT_ID,)), (OF_GUILD, (BOT_ID, GUILD_ID))])
async def test_commands_are_kept_with_discords_defaults(call, path, where):
    made = await call(
        f"POST {path}", *where, body={"name": "ping", "description": "x", "default_member_permissions": 8}
    )
    assert (made["type"], made["application_id"], made["default_member_permissions"]) == (1, BOT_ID, "8")
    assert made.get("guild_id") == (GUILD_ID if path == OF_GUILD else None)
    again = await call(f"POST {path}", *where, body={"name": "ping", "description": "y"})
    assert (again["id"], again["description"], again["version"] > made["version"]) == (made["id"], "y", True)
    other = await call(f"POST {path}", *where, body={"name": "ping", "type": 2})
    assert other["id"] != made["id"]
    assert [one["id"] for one in await call(f"GET {path}", *where)] == [made["id"], other["id"]]
    assert "name_localizations" in (await call(f"GET {path}", *where, query="?with_localizations=true"))[0]
    one = f"{path}/{{command_id}}"
    edited = await call(f"PATCH {one}", *where, made["id"], body={"description": "z"})
    assert (edited["name"], await call(f"GET {one}", *where, made["id"])) == ("ping", edited)
    bodies = [{"name": "new", "description": "x"}, {"name": "ping", "description": "x"}]
    replaced = await call(f"PUT {path}", *where, body=bodies)
    assert [each["name"] for each in replaced] == ["new", "ping"]
    assert replaced[1]["id"] == made["id"]
    await call(f"DELETE {one}", *where, made["id"])
    assert [each["name"] for each in await call(f"GET {path}", *where)] == ["new"]


async def test_the_commands_of_a_guild_are_its_own(call):
    await call(f"POST {GLOBAL}", BOT_ID, body={"name": "ping", "description": "x"})
    assert await call(f"GET {OF_GUILD}", BOT_ID, GUILD_ID) == []
    assert await call(f"GET {OF_GUILD}/permissions", BOT_ID, GUILD_ID) == []


COMMANDS = f"/applications/{BOT_ID}/commands"
COMMAND = {"name": "ping", "description": "x"}
OPTION = {"type": 3, "name": "item", "description": "What"}


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({**COMMAND, "name": "Ping"}, "name"),
        ({**COMMAND, "name": "a b"}, "name"),
        ({"name": "ping"}, "description"),
        ({"name": "ping", "type": 2, "description": "x"}, "description"),
        ({**COMMAND, "name_localizations": {"xx": "ping"}}, "name_localizations.xx"),
        ({**COMMAND, "contexts": []}, "contexts"),
        ({**COMMAND, "options": [{**OPTION, "name": "Item"}]}, "options.0.name"),
        ({**COMMAND, "options": [{"type": 3, "name": "item"}]}, "options.0.description"),
        ({**COMMAND, "options": [OPTION, OPTION]}, "options.1.name"),
        ({**COMMAND, "options": [OPTION, {**OPTION, "name": "b", "required": True}]}, "options.1"),
        ({**COMMAND, "options": [OPTION, {**OPTION, "type": 1, "name": "b"}]}, "options.0.type"),
        (
            {**COMMAND, "options": [{**OPTION, "choices": [{"name": "x" * 101, "value": "a"}]}]},
            "options.0.choices.0.name",
        ),
        ({**COMMAND, "options": [{**OPTION, "choices": [{"name": "a", "value": "x" * 400}] * 25}]}, ""),
    ],
    ids=range(13),
)
async def test_an_invalid_command_is_refused(call, body, path):
    answer = await call.refused("POST", COMMANDS, body)
    found = answer["errors"]
    for key in filter(None, path.split(".")):
        found = found[key]
    assert found["_errors"]


async def test_translations_are_returned_on_request_at_each_depth(call):
    option = {**OPTION, "name_localizations": {"de": "ware"}, "choices": [{"name": "a", "value": "b"}]}
    option["choices"][0]["name_localizations"] = {"de": "c"}
    made = await call(f"POST {GLOBAL}", BOT_ID, body={**COMMAND, "options": [option]})
    assert await call(f"GET {GLOBAL}", BOT_ID, query="?with_localizations=true") == [made]
    (bare,) = await call(f"GET {GLOBAL}", BOT_ID)
    assert "localizations" not in str(bare)


async def test_a_replaced_list_contains_the_entry_point(call):
    body = {"name": "launch", "type": 4, "description": "x", "handler": 2}
    launch = await call(f"POST {GLOBAL}", BOT_ID, body=body)
    assert (await call.refused("PUT", COMMANDS, [COMMAND]))["code"] == 50240
    assert [one["id"] for one in await call(f"PUT {GLOBAL}", BOT_ID, body=[body])] == [launch["id"]]


async def test_a_replaced_list_is_refused_as_a_whole(call):
    await call(f"POST {GLOBAL}", BOT_ID, body=COMMAND)
    bodies = [{**COMMAND, "name": "new"}, {**COMMAND, "name": "New"}]
    answer = await call.refused("PUT", COMMANDS, bodies)
    assert list(answer["errors"]) == ["1"]
    assert [one["name"] for one in await call(f"GET {GLOBAL}", BOT_ID)] == ["ping"]


async def test_an_edited_name_is_not_that_of_another_command(call):
    made = await call(f"POST {GLOBAL}", BOT_ID, body=COMMAND)
    await call(f"POST {GLOBAL}", BOT_ID, body={**COMMAND, "name": "pong"})
    assert "name" in (await call.refused("PATCH", f"{COMMANDS}/{made['id']}", {"name": "pong"}))["errors"]


async def test_lists_of_commands_can_be_old(call):
    await call(f"POST {GLOBAL}", BOT_ID, body=COMMAND)
    await call(f"POST {GLOBAL}", BOT_ID, body={**COMMAND, "name": "pong"})
    call.discord.world.list_old_commands()
    assert [one["name"] for one in await call(f"GET {GLOBAL}", BOT_ID)] == ["ping"]
    assert [one["name"] for one in await call(f"GET {GLOBAL}", BOT_ID)] == ["ping", "pong"]


ONES_OWN = ("stickers", "stage-instances", "auto-moderation", "templates", "soundboard-sounds", "emojis")


async def test_objects_that_are_not_stored_have_all_documented_keys(call):
    known = {"guild_id": GUILD_ID, "channel_id": VOICE, "application_id": BOT_ID}
    for route in generic.ROUTES:
        method, template = route.split(" ")
        if any(part in ONES_OWN for part in template.split("/")):
            names = [part[1:-1] for part in template.split("/") if part.startswith("{")]
            sent = {"channel_id": VOICE} if "stage-instances" in template else {"name": "mine"}
            body = sent if method in {"POST", "PATCH"} else None
            answer = await call(route, *(known.get(name, "5") for name in names), body=body)
            assert body is None or sent.items() <= answer.items()


async def test_invites(call):
    invite = await call("POST /channels/{channel_id}/invites", CHANNEL_ID, body={"max_age": 60, "max_uses": 1})
    assert await call("GET /invites/{code}", invite["code"], token=False) == invite
    assert len(await call("GET /channels/{channel_id}/invites", CHANNEL_ID)) == 1
    assert len(await call("GET /guilds/{guild_id}/invites", GUILD_ID)) == 1
    await call("DELETE /invites/{code}", invite["code"])
    assert call.discord.world.invites == {}


async def test_guild_members_and_roles(call):
    assert (await call("GET /guilds/{guild_id}", GUILD_ID, query="?with_counts=true"))["approximate_member_count"] == 6
    await call("PATCH /guilds/{guild_id}", GUILD_ID, body={"description": "d"})
    await call("GET /guilds/{guild_id}/emojis", GUILD_ID)
    members, member = "/guilds/{guild_id}/members", "/guilds/{guild_id}/members/{user_id}"
    page = await call(f"GET {members}", GUILD_ID, query=f"?limit=2&after={USER_ID}")
    assert [one["user"]["id"] for one in page] == [GRACE, ALAN]
    found = await call(f"GET {members}/search", GUILD_ID, query="?query=AL&limit=5")
    assert [one["user"]["username"] for one in found] == ["alan"]
    await call(f"GET {member}", GUILD_ID, USER_ID)
    edited = await call(f"PATCH {member}", GUILD_ID, USER_ID, body={"nick": "countess", "roles": [ROLE_ID]})
    assert (edited["nick"], edited["roles"]) == ("countess", [ROLE_ID])
    await call(f"PATCH {members}/@me", GUILD_ID, body={"nick": "bot"})
    role = await call("POST /guilds/{guild_id}/roles", GUILD_ID, body={"name": "r", "color": 255, "permissions": "8"})
    assert (role["color"], role["colors"]["primary_color"], role["permissions"]) == (255, 255, "8")
    await call(f"PUT {member}/roles/{{role_id}}", GUILD_ID, USER_ID, role["id"])
    await call(f"DELETE {member}/roles/{{role_id}}", GUILD_ID, USER_ID, ROLE_ID)
    assert (await call(f"GET {member}", GUILD_ID, USER_ID))["roles"] == [role["id"]]
    roles = "/guilds/{guild_id}/roles"
    assert len(await call(f"GET {roles}", GUILD_ID)) == 6
    await call(f"GET {roles}/{{role_id}}", GUILD_ID, role["id"])
    await call(f"GET {roles}/member-counts", GUILD_ID)
    await call(f"PATCH {roles}/{{role_id}}", GUILD_ID, role["id"], body={"name": "renamed", "mentionable": True})
    await call(f"PATCH {roles}", GUILD_ID, body=[{"id": role["id"], "position": 2}])
    await call(f"DELETE {roles}/{{role_id}}", GUILD_ID, role["id"])
    assert (await call(f"GET {member}", GUILD_ID, USER_ID))["roles"] == []
    call.discord.people.speak(GUILD_ID, USER_ID, VOICE)
    await call("GET /guilds/{guild_id}/voice-states/{user_id}", GUILD_ID, USER_ID)
    call.discord.people.speak(GUILD_ID, call.discord.world.bot_id, VOICE)
    await call("GET /guilds/{guild_id}/voice-states/@me", GUILD_ID)
    await call(f"DELETE {member}", GUILD_ID, USER_ID)
    assert USER_ID not in call.discord.world.guilds[GUILD_ID].members
    await call(f"PUT {member}", GUILD_ID, USER_ID, body={"access_token": "oauth", "nick": "back"})
    await call(f"PUT {member}", GUILD_ID, USER_ID, body={"access_token": "oauth"})


async def test_bans(call):
    bans = "/guilds/{guild_id}/bans"
    await call(f"PUT {bans}/{{user_id}}", GUILD_ID, USER_ID, body={"delete_message_seconds": 60})
    await call(f"GET {bans}/{{user_id}}", GUILD_ID, USER_ID)
    both = {"user_ids": [GRACE, ALAN, "42"]}
    assert await call("POST /guilds/{guild_id}/bulk-ban", GUILD_ID, body=both) == {
        "banned_users": [GRACE, ALAN],
        "failed_users": ["42"],
    }
    listed = await call(f"GET {bans}", GUILD_ID, query=f"?limit=1&after={USER_ID}")
    assert [ban["user"]["id"] for ban in listed] == [GRACE]
    await call(f"DELETE {bans}/{{user_id}}", GUILD_ID, USER_ID)


async def test_webhooks(call):
    hooks = "/channels/{channel_id}/webhooks"
    hook = await call(f"POST {hooks}", CHANNEL_ID, body={"name": "hook"})
    ids = (hook["id"], hook["token"])
    assert len(await call(f"GET {hooks}", CHANNEL_ID)) == 1
    assert len(await call("GET /guilds/{guild_id}/webhooks", GUILD_ID)) == 1
    one, by_token = "/webhooks/{webhook_id}", "/webhooks/{webhook_id}/{webhook_token}"
    await call(f"GET {one}", hook["id"])
    await call(f"PATCH {one}", hook["id"], body={"name": "renamed"})
    await call(f"GET {by_token}", *ids, token=False)
    await call(f"PATCH {by_token}", *ids, body={"name": "again"}, token=False)
    sent = await call(f"POST {by_token}", *ids, query="?wait=true", body={"content": "x"}, token=False)
    assert (sent["author"]["username"], sent["webhook_id"]) == ("again", hook["id"])
    assert await call(f"POST {by_token}", *ids, body={"content": "y", "username": "u"}, token=False) is None
    message = f"{by_token}/messages/{{message_id}}"
    await call(f"GET {message}", *ids, sent["id"], token=False)
    edited = await call(f"PATCH {message}", *ids, sent["id"], body={"content": "new"}, token=False)
    assert edited["content"] == "new"
    await call(f"DELETE {message}", *ids, sent["id"], token=False)
    in_forum = await call(f"POST {hooks}", FORUM, body={"name": "forum hook"})
    post = {"content": "x", "thread_name": "post"}
    made = await call(f"POST {by_token}", in_forum["id"], in_forum["token"], query="?wait=true", body=post, token=False)
    assert call.discord.world.channels[made["channel_id"]].data["name"] == "post"
    await call(f"DELETE {by_token}", in_forum["id"], in_forum["token"], token=False)
    await call(f"DELETE {one}", hook["id"])
    assert call.discord.world.webhooks == {}


async def test_interactions(call):
    callback = "POST /interactions/{interaction_id}/{interaction_token}/callback"
    first = call.discord.people.interact(CHANNEL_ID, USER_ID)
    answer = {"type": 4, "data": {"content": "pong"}}
    shown = await call(callback, first["id"], first["token"], body=answer, query="?with_response=true", token=False)
    assert shown["resource"]["message"]["content"] == "pong"
    ids = (first["application_id"], first["token"])
    by_token = "/webhooks/{webhook_id}/{webhook_token}"
    original = f"{by_token}/messages/@original"
    assert (await call(f"GET {original}", *ids, token=False))["content"] == "pong"
    await call(f"PATCH {original}", *ids, body={"content": "edited"}, token=False)
    assert (await call(f"POST {by_token}", *ids, body={"content": "more"}, token=False))["content"] == "more"
    await call(f"DELETE {original}", *ids, token=False)
    second = call.discord.people.interact(CHANNEL_ID, USER_ID)
    await call(callback, second["id"], second["token"], body={"type": 5}, token=False)
    ids = (second["application_id"], second["token"])
    done = await call(f"PATCH {original}", *ids, body={"content": "done"}, token=False)
    assert (done["content"], done["flags"]) == ("done", 0)  # it is complete: a follow-up is a message of its own
    assert (await call(f"POST {by_token}", *ids, body={"content": "more"}, token=False))["id"] != done["id"]


async def test_an_autocompletion_has_choices_only(call):
    callback = "POST /interactions/{interaction_id}/{interaction_token}/callback"
    used = call.discord.people.interact(CHANNEL_ID, USER_ID, 4)
    choices = {"type": 8, "data": {"choices": [{"name": "a", "value": "a"}]}}
    with pytest.raises(AssertionError, match="INTERACTION_RESPONSE_TYPE_INVALID"):
        await call(callback, used["id"], used["token"], body={"type": 4, "data": {"content": "x"}}, token=False)
    await call(callback, used["id"], used["token"], body=choices, token=False)


async def test_a_click_changes_its_message(call):
    callback = "POST /interactions/{interaction_id}/{interaction_token}/callback"
    row = [{"type": 1, "components": [{"type": 2, "style": 1, "label": "go", "custom_id": "go"}]}]
    message = await call(f"POST {M}", CHANNEL_ID, body={"content": "press", "components": row})
    click = {"custom_id": "go", "component_type": 2}
    first = call.discord.people.interact(CHANNEL_ID, USER_ID, 3, click, message["id"])
    update = {"type": 7, "data": {"content": "pressed", "components": []}}
    await call(callback, first["id"], first["token"], body=update, token=False)
    assert (await call(f"GET {M}/{{message_id}}", CHANNEL_ID, message["id"]))["content"] == "pressed"
    second = call.discord.people.interact(CHANNEL_ID, USER_ID, 3, click, message["id"])
    shown = await call(
        callback, second["id"], second["token"], body={"type": 6}, query="?with_response=true", token=False
    )
    assert "resource" not in shown
    original = "/webhooks/{webhook_id}/{webhook_token}/messages/@original"
    await call(f"PATCH {original}", second["application_id"], second["token"], body={"content": "twice"}, token=False)
    assert (await call(f"GET {M}/{{message_id}}", CHANNEL_ID, message["id"]))["content"] == "twice"
    third = call.discord.people.interact(CHANNEL_ID, USER_ID)
    await call(
        callback,
        third["id"],
        third["token"],
        body={"type": 5, "data": {"flags": 64}},
        query="?with_response=1",
        token=False,
    )
    follow_up = "POST /webhooks/{webhook_id}/{webhook_token}"
    done = await call(follow_up, third["application_id"], third["token"], body={"content": "done"}, token=False)
    assert (done["content"], done["flags"]) == ("done", 64)


async def test_forum_tags_and_applied_tags(call):
    tags = {"available_tags": [{"name": "bug", "moderated": True}], "parent_id": None}
    forum = await call("PATCH /channels/{channel_id}", FORUM, body=tags)
    [tag] = forum["available_tags"]
    post = {"name": "p", "message": {"content": "c"}, "applied_tags": [tag["id"]], "auto_archive_duration": 60}
    made = await call("POST /channels/{channel_id}/threads", FORUM, body=post)
    assert made["applied_tags"] == [tag["id"]]
    assert made["thread_metadata"]["auto_archive_duration"] == 60
    new = {"name": "f", "type": 15, "parent_id": None, "rate_limit_per_user": 5}
    assert (await call("POST /guilds/{guild_id}/channels", GUILD_ID, body=new))["default_forum_layout"] == 0


async def test_members_move_between_voice_channels(call):
    call.discord.people.speak(GUILD_ID, USER_ID, VOICE)
    await call("PATCH /guilds/{guild_id}/members/{user_id}", GUILD_ID, USER_ID, body={"channel_id": None})
    assert call.discord.world.guilds[GUILD_ID].voice_states == {}


async def test_scheduled_events(call):
    events, event = (
        "/guilds/{guild_id}/scheduled-events",
        "/guilds/{guild_id}/scheduled-events/{guild_scheduled_event_id}",
    )
    times = {"scheduled_start_time": "2030-01-01T00:00:00Z", "scheduled_end_time": "2030-01-01T01:00:00Z"}
    place = {"name": "e", "privacy_level": 2, "entity_type": 3, "entity_metadata": {"location": "here"}, **times}
    made = await call(f"POST {events}", GUILD_ID, body=place)
    in_voice = {"name": "v", "privacy_level": 2, "entity_type": 2, "channel_id": VOICE, **times}
    await call(f"POST {events}", GUILD_ID, body=in_voice)
    assert len(await call(f"GET {events}", GUILD_ID, query="?with_user_count=true")) == 2
    await call(f"GET {event}", GUILD_ID, made["id"])
    await call(f"GET {event}/users", GUILD_ID, made["id"])
    assert (await call(f"PATCH {event}", GUILD_ID, made["id"], body={"name": "renamed"}))["name"] == "renamed"
    await call(f"DELETE {event}", GUILD_ID, made["id"])


async def test_recurring_events(call):
    rule = {"start": "2030-01-01T00:00:00Z", "frequency": 2, "interval": 1, "by_weekday": [1]}
    times = {"scheduled_start_time": rule["start"], "scheduled_end_time": "2030-01-01T01:00:00Z"}
    event = {"name": "e", "privacy_level": 2, "entity_type": 3, "entity_metadata": {"location": "here"}, **times}
    made = await call("POST /guilds/{guild_id}/scheduled-events", GUILD_ID, body={**event, "recurrence_rule": rule})
    assert {key: made["recurrence_rule"][key] for key in rule} == rule


async def test_an_invite_with_roles(call):
    body = {"role_ids": [MEMBER_ROLE], "target_type": 1, "target_user_id": USER_ID}
    invite = await call("POST /channels/{channel_id}/invites", CHANNEL_ID, body=body)
    assert [role["id"] for role in invite["roles"]] == [MEMBER_ROLE]
    assert (invite["target_type"], invite["target_user"]["id"]) == (1, USER_ID)


async def test_a_theme_is_content(call):
    theme = {"colors": ["00ff00"], "gradient_angle": 0, "base_mix": 50}
    message = await call(f"POST {M}", CHANNEL_ID, body={"shared_client_theme": theme})
    assert message["shared_client_theme"] == {**theme, "base_theme": 0}


async def test_responses_that_are_no_message(call):
    callback = "POST /interactions/{interaction_id}/{interaction_token}/callback"
    typing = call.discord.people.interact(CHANNEL_ID, USER_ID, 4)
    choices = {"type": 8, "data": {"choices": [{"name": "One", "value": 1}]}}
    await call(callback, typing["id"], typing["token"], body=choices, token=False)
    command = call.discord.people.interact(CHANNEL_ID, USER_ID)
    text = {"type": 18, "label": "Why?", "component": {"type": 4, "custom_id": "why", "style": 2}}
    modal = {"type": 9, "data": {"title": "t", "custom_id": "c", "components": [text]}}
    await call(callback, command["id"], command["token"], body=modal, token=False)
    launch = call.discord.people.interact(CHANNEL_ID, USER_ID)
    query = "?with_response=true"
    made = await call(callback, launch["id"], launch["token"], body={"type": 12}, query=query, token=False)
    assert made["resource"]["activity_instance"]["id"] == made["interaction"]["activity_instance_id"]


async def test_every_route_of_discord_is_known(http):
    rows = routes("that the sandbox knows all 242 routes")
    assert len(rows) == 242
    unknown = []
    async with Sandbox(UNLIMITED) as discord:
        for (method, template), row in rows.items():
            parts = (f"{'5' if '_id' in part else 'x'}" if part[:1] == "{" else part for part in template.split("/"))
            async with http.request(method, discord.rest_url + "/".join(parts)) as response:
                record = discord.ledger.records[-1]
            if record.template != template or response.status == 405:
                unknown.append(f"{method} {template}")
            if bool(record.major) != (row["major"] != "-"):
                unknown.append(f"major of {template}")
    assert unknown == []

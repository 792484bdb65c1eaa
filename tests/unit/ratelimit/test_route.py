"""Routes by method and path."""

import base64
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discordproxy_ratelimit.route import DISCORD_EPOCH_MS, Route, route_of, route_of_path, template_of

TABLE = Path(__file__).parents[4] / "shared" / "spec" / "routes.tsv"
ROUTES = 242
CHANNEL, GUILD, WEBHOOK, OTHER = "81384788765712384", "41771983423143937", "223704706495545344", "80351110224678912"
TOKEN = "3d89bb7572e0fb30d8128367b3b1b44fecd1726de135cbe28a41f8b2f777c372ba2939e72279b94526ff5d1bd4358d65cf11"
NOW_MS = 1_790_000_000_000


def table() -> Iterator[Any]:
    if not TABLE.exists():
        reason = f"NOT CHECKED: {ROUTES} routes, because {TABLE.name} is missing"
        yield pytest.param({}, marks=pytest.mark.skip(reason=reason), id="missing")
        return
    with TABLE.open() as lines:
        for row in csv.DictReader(lines, delimiter="\t"):
            yield pytest.param(row, id=f"{row['method']} {row['path']}")


def example_of(parameter: str) -> str:
    texts = {"emoji_name": "blob:123456789012345678", "code": "2TffvPucqHkN", "instance_id": "i-1234-gc-5678-91011"}
    texts |= {"webhook_token": TOKEN, "interaction_token": TOKEN}
    return texts.get(parameter, str(int(OTHER) + len(parameter)))


@pytest.mark.parametrize("row", list(table()))
def test_every_documented_path_is_recognized(row: dict[str, str]) -> None:
    names = [part[1:-1] for part in row["path"].split("/") if part.startswith("{")]
    values = {name: example_of(name) for name in names}
    path = "/".join(values[part[1:-1]] if part.startswith("{") else part for part in row["path"].split("/"))
    assert template_of(path) == (row["path"], values)
    assert route_of_path(row["method"], path).major == expected_major(row, values)
    assert route_of(row["method"], row["path"], values) == route_of_path(row["method"], path)


def expected_major(row: dict[str, str], values: dict[str, str]) -> str:
    column = row["major"].partition(" ")[0]
    if column == "-":
        return ""
    if column == "interaction_id+interaction_token":
        return f"interaction={values['interaction_id']}"
    if column == "webhook_id+webhook_token":
        token = route_of("GET", "/webhooks/{webhook_id}/{webhook_token}", values).major.partition(":")[2]
        assert len(token) == 16
        return f"webhook_id={values['webhook_id']}:{token}"
    return f"{column}={values[column]}"


def test_the_table_is_complete() -> None:
    assert len(list(table())) in {1, ROUTES}


def test_methods_and_templates_are_different_routes_ids_are_not() -> None:
    a = route_of_path("GET", f"/channels/{CHANNEL}/messages/1")
    assert a == Route("GET /channels/{channel_id}/messages/{message_id}", f"channel_id={CHANNEL}", resource=a.resource)
    b = route_of_path("GET", f"/channels/{CHANNEL}/messages/2")
    assert (a.name, a.major, a.lane) == (b.name, b.major, b.lane)
    assert a.resource != b.resource
    assert route_of_path("PATCH", f"/channels/{CHANNEL}/messages/1").lane != a.lane
    assert route_of_path("GET", f"/channels/{GUILD}/messages/1").lane != a.lane


def test_only_the_top_level_resource_is_major() -> None:
    assert route_of_path("GET", f"/users/@me/guilds/{GUILD}/member").major == ""
    assert route_of_path("PUT", f"/applications/{OTHER}/guilds/{GUILD}/commands").major == ""
    assert route_of_path("GET", f"/guilds/{GUILD}/members/{OTHER}").major == f"guild_id={GUILD}"


def test_create_message_keeps_its_order_and_nothing_else_does() -> None:
    path = f"/channels/{CHANNEL}/messages"
    assert route_of_path("POST", path).ordered
    assert not route_of_path("GET", path).ordered
    assert not route_of_path("POST", f"{path}/1/crosspost").ordered


# Who is limited


def test_a_webhook_token_is_never_in_clear() -> None:
    route = route_of_path("POST", f"/webhooks/{WEBHOOK}/{TOKEN}", no_bot_auth=True)
    assert TOKEN not in repr(route) + route.lane
    assert route.credential == "ip"
    assert route.by_token
    assert not route.exempt
    other = route_of_path("POST", f"/webhooks/{WEBHOOK}/{TOKEN[::-1]}", no_bot_auth=True)
    assert other.major != route.major
    assert not route_of_path("PATCH", f"/webhooks/{WEBHOOK}").by_token


def test_a_bearer_token_has_limits_of_its_own_and_is_never_in_clear() -> None:
    path = f"/users/@me/guilds/{GUILD}/member"
    mine, yours = (route_of_path("GET", path, bearer=token) for token in ("mine" * 8, "yours" * 8))
    assert mine.credential.startswith("bearer:")
    assert mine.credential != yours.credential
    assert "minemine" not in repr(mine)
    assert route_of_path("GET", path).credential == "bot"


def interaction_token(interaction_id: str) -> str:
    return base64.urlsafe_b64encode(f"interaction:{interaction_id}:{'secret' * 20}".encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"/interactions/{OTHER}/{interaction_token(OTHER)}/callback"),
        ("POST", f"/webhooks/{WEBHOOK}/{interaction_token(OTHER)}"),
        ("PATCH", f"/webhooks/{WEBHOOK}/{interaction_token(OTHER)}/messages/@original"),
    ],
)
def test_interactions_are_exempt_and_limited_by_interaction(method: str, path: str) -> None:
    route = route_of_path(method, path)
    assert route.exempt
    assert route.credential == "ip"
    assert route.major == f"interaction={OTHER}"
    assert interaction_token(OTHER)[:24] not in repr(route)


@pytest.mark.parametrize("token", ["", "interaction", "aW50ZXJhY3Rpb246", "===", "ü" * 9, interaction_token("x1")])
def test_a_token_that_is_no_interactions_is_a_webhooks(token: str) -> None:
    values = {"webhook_id": WEBHOOK, "webhook_token": token}
    assert not route_of("POST", "/webhooks/{webhook_id}/{webhook_token}", values).exempt


# Limits that no header shows


@pytest.mark.parametrize(
    ("keys", "kind"),
    [((), ""), (("nsfw",), ""), (("name",), "#name_topic"), (("topic", "nsfw"), "#name_topic")],
)
def test_renaming_a_channel_is_limited_on_its_own(keys: tuple[str, ...], kind: str) -> None:
    route = route_of_path("PATCH", f"/channels/{CHANNEL}", body_keys=keys)
    assert route.name == f"PATCH /channels/{{channel_id}}{kind}"
    assert route_of_path("PATCH", f"/guilds/{GUILD}", body_keys=keys).name == "PATCH /guilds/{guild_id}"


def snowflake(age_ms: int) -> int:
    return (NOW_MS - age_ms - DISCORD_EPOCH_MS) << 22


@pytest.mark.parametrize(
    ("age_ms", "kind"),
    [
        (0, "#young"),
        (9_999, "#young"),
        (10_000, ""),
        (14 * 86_400_000, ""),
        (14 * 86_400_000 + 1, "#old"),
        (-5_000, "#young"),
    ],
)
def test_deleting_is_limited_by_the_messages_age(age_ms: int, kind: str) -> None:
    path = f"/channels/{CHANNEL}/messages/{snowflake(age_ms)}"
    name = "DELETE /channels/{channel_id}/messages/{message_id}"
    assert route_of_path("DELETE", path, now_ms=NOW_MS).name == name + kind
    assert route_of_path("DELETE", path).name == name
    assert "#" not in route_of_path("GET", path, now_ms=NOW_MS).name


# Paths nobody foresaw


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/channels//messages", "/channels/{channel_id}/messages"),
        (f"/brand-new/{OTHER}", "/brand-new/{id}"),
        (f"/channels/{CHANNEL}/brand-new/{OTHER}/x", "/channels/{channel_id}/brand-new/{id}/x"),
        (f"/brand-new/{TOKEN}", "/brand-new/{id}"),
        ("/brand-new/0123456789abcdef0123", "/brand-new/{id}"),
        ("/channels", "/channels"),
        ("/", "/"),
    ],
)
def test_unknown_paths_do_not_make_a_route_of_every_id(path: str, template: str) -> None:
    assert template_of(path)[0] == template


HOSTILE = [
    f"/channels/{CHANNEL}|x/messages",
    "/a|b/c",
    "/interactions/1|2/token/callback",
    f"/channels/{CHANNEL}/messages/²",
    f"/channels/{CHANNEL}/messages/{'9' * 5000}",
    f"/channels/{CHANNEL}/messages/٣",
    "/channels/{channel_id}/messages",
    "/channels/../guilds/1",
    "/channels/%2e%2e/1#name_topic",
    "/webhooks/1/" + "A" * 100_000,
    "\x00/\ud800",
]


@pytest.mark.parametrize("path", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_paths_make_plain_names(path: str) -> None:
    assert_plain(route_of_path("DELETE", path, now_ms=NOW_MS))


@given(st.text(max_size=80).map(lambda text: f"/{text}"), st.sampled_from(["GET", "DELETE", "PATCH"]))
def test_any_path_makes_plain_names(path: str, method: str) -> None:
    assert_plain(route_of_path(method, path, now_ms=NOW_MS, body_keys=["name"]))


def assert_plain(route: Route) -> None:
    """The name and the major parameter are parts of Redis keys and are parsed back by their `|`."""
    assert route.lane.count("|") == 1
    assert route.lane.isprintable()
    assert len(route.lane) < 2000
    route.lane.encode()

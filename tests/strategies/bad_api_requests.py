"""Invalid requests of the RPC Request."""

from typing import Any

from discordproxy.discord_api_pb2 import ApiRequest, File
from strategies.bad_requests import Bad

PARAM = ApiRequest.Param
FILE = File(filename="a.png", content=b"x")


def bad(field: str, **fields: Any) -> Bad:
    return Bad("Request", ApiRequest(**{"method": "GET", "path": "/users/@me", **fields}), field)


BAD_METHODS = [
    bad("method", method=method)
    for method in ("", "get", "HEAD", "OPTIONS", "TRACE", "CONNECT", "GET ", "GET\r\n", "P\u00d6ST")
]
BAD_PATHS = [
    bad("path", path=path)
    for path in (
        "",
        "gateway",
        "http://evil.example/",
        "https://discord.com/api/v10/gateway",
        "//evil.example/x",
        "/guilds//1",
        "/guilds/../users/@me",
        "/guilds/./1",
        "/..",
        "/guilds/%2e%2e/users",
        "/guilds/%2E%2e",
        "/guilds/.%2e/x",
        "/guilds/%252e%252e/x",
        "/guilds/%25252e%25252e/x",
        "/guilds/..%2fusers",
        "/guilds/x%2f..%2fusers",
        "/channels%2F1",
        "/channels/1%252Fmessages/2",
        "/guilds/1%0d%0aHost:evil",
        "/guilds/1%00",
        "/guilds\\1",
        "/guilds/%5c..%5cx",
        "/guilds/%5c",
        "/guilds/1?limit=1",
        "/guilds/1#x",
        "/guilds/1\r\nHost: evil",
        "/guilds/1\x00",
        "/guilds/a b",
        "/guilds/%zz",
        "/guilds/%",
        "/reactions/\u2764",
        "/guilds/1\x7f",
        "/guilds/1\x85",
    )
]
BAD_AUTHORIZATIONS = [
    bad("authorization", authorization=value)
    for value in (
        "Bot abc",
        "bot abc",
        "Bearer",
        "Bearer ",
        "bearer abc",
        "abc",
        "None",
        "Bearer a\r\nX: y",
        "Bearer a b",
        "Bearer \u00e9",
    )
]
BAD_PARTS = [
    bad("query[0].name", query=[PARAM(name="a\n", value="b")]),
    bad("query[1].value", query=[PARAM(name="a"), PARAM(name="a", value="b\0")]),
    bad("reason", method="POST", reason="a\x00b"),
    bad("reason", method="POST", reason="a" * 513),
    bad("json", method="POST", json="{"),
    bad("json", method="POST", json="{'a': 1}"),
    bad("json", method="POST", json="NaN"),
    bad("json", json="{}"),
    bad("files", files=[FILE]),
    bad("file_field", method="POST", files=[FILE, FILE], file_field="file"),
    bad("file_field", method="POST", files=[FILE], file_field='a"; x="'),
    bad("file_field", method="POST", files=[FILE], file_field="a\r\n"),
    bad("files[1].filename", method="POST", files=[FILE, File(content=b"x")]),
    bad("files[0].filename", method="POST", files=[File(filename="a\r\nb", content=b"x")]),
    bad("files[0].filename", method="POST", files=[File(filename="a", content_type="a\nb")]),
]

BAD_API_REQUESTS = [*BAD_METHODS, *BAD_PATHS, *BAD_AUTHORIZATIONS, *BAD_PARTS]

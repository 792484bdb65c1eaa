"""Any request to any operation of Discord's API: never a 500, never another host, and what is sent is what came."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.speed import http1
from discordproxy_api.rpcs.route_policy import METHODS
from fakes.ports import free_port
from integration.api.conftest import TOKEN, serve
from strategies.discord_spec import alternatives, body_schema, openapi
from strategies.examples import examples

SPEC = openapi("every operation of Discord's API on the REST port")
OPERATIONS = sorted((method.upper(), path) for path, each in SPEC["paths"].items() for method in each)
OPERATIONS = [operation for operation in OPERATIONS if operation[0] in METHODS]
CANARY = "c4nary-header-of-the-caller"
MESSAGE = ("POST", "/channels/{channel_id}/messages")
ANSWERS = (
    http1.write("HTTP/1.1 200 OK", {"Content-Type": "application/json"}, b"{}"),
    http1.write("HTTP/1.1 404 Not Found", {"Content-Type": "application/json"}, b'{"message": "Unknown", "code": 0}'),
    http1.write("HTTP/1.1 204 No Content", {}),
    http1.write("HTTP/1.1 403 Forbidden", {"Content-Type": "text/html"}, b"<html>"),
)


@dataclass
class Recorder:
    """A Discord that records requests and answers in turn; for `serve` it looks like the sandbox."""

    port: int = field(default_factory=free_port)
    requests: list[http1.HttpMessage] = field(default_factory=list)
    served: int = 0

    @property
    def rest_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/v10"

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = await http1.read(reader)
                if "/users/@me" not in request.start[1] or CANARY in str(request.headers):
                    self.requests.append(request)
                self.served += 1
                writer.write(ANSWERS[self.served % len(ANSWERS)])
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@dataclass(frozen=True)
class Port:
    """The REST port of a worker in front of a recorder, and the event loop of both."""

    runner: asyncio.Runner
    number: int
    discord: Recorder

    def exchange(self, data: bytes) -> bytes:
        """Send a request; return its answer."""
        return self.runner.run(self._exchange(data))

    async def _exchange(self, data: bytes) -> bytes:
        self.discord.requests.clear()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.number)
        writer.write(data)
        try:
            return await asyncio.wait_for(reader.read(), 60)
        finally:
            writer.close()


@pytest.fixture(scope="module")
def port() -> Iterator[Port]:
    with asyncio.Runner() as runner:
        discord = Recorder()
        server = runner.run(start(discord))
        worker = serve(discord, rest_port=0, retries=0)
        served = runner.run(worker.__aenter__())
        yield Port(runner, served.rest_port, discord)
        runner.run(worker.__aexit__(None, None, None))
        server.close()


async def start(discord: Recorder) -> asyncio.Server:
    return await asyncio.start_server(discord.answer, "127.0.0.1", discord.port)


ODD = st.text(alphabet=st.sampled_from("aZ09.-_~!*'();:@&=+$,?#[]{}<>|^`\"\\/% \0\r\n\x7f\x80é👍"), max_size=8)
SNOWFLAKE = st.integers(min_value=10**16, max_value=2**63).map(str)
SEGMENT = st.one_of(
    SNOWFLAKE,
    ODD.map(lambda text: quote(text, safe="")),
    st.sampled_from(["@me", "@original", "..", "%2e%2e", "%2F", "0", "x%00"]),
    ODD.filter(lambda text: text.isascii() and text.isprintable() and not set(text) & set(" ?#")),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "X-Audit-Log-Reason": ODD.map(lambda text: quote(text, safe=""))
        | st.sampled_from(["caf\xe9", "%zz", "%0d%0aX: y"]),
        "Prefer": st.sampled_from(["wait=5", "wait=", "respond-async", "wait=1e9", 'wait="2"']),
        "X-Discordproxy-Priority": st.sampled_from(["low", "HIGH", "now"]),
        "X-Discordproxy-App": st.sampled_from(["shop", "", "a b", "\xe9" * 100]),
        "Idempotency-Key": st.sampled_from(["k", "", "x" * 300]) | st.uuids().map(str),
        "X-Request-Id": st.sampled_from(["r", "\xff", "x" * 300]),
        "traceparent": st.sampled_from(["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "x"]),
        "Content-Encoding": st.sampled_from(["identity", "gzip", "br"]),
    },
)
TYPES = st.sampled_from(
    [
        *("application/json", "application/json; charset=utf-8", "application/x-www-form-urlencoded", "text/plain", ""),
        *("multipart/form-data; boundary=b", "multipart/form-data", "application/octet-stream", 'a/b; c="\xe9"'),
    ]
)
FORM = b'--b\r\nContent-Disposition: form-data; name="payload_json"\r\n\r\n%b\r\n--b--\r\n'


@dataclass(frozen=True)
class Drawn:
    """A request: its operation, target, headers and body."""

    method: str
    template: str
    target: str
    headers: dict[str, str]
    body: bytes

    def data(self, port: int) -> bytes:
        lines = {"Host": f"127.0.0.1:{port}", "Connection": "close", "X-Canary": CANARY, **self.headers}
        return http1.write(f"{self.method} {self.target} HTTP/1.1", lines, self.body)


@st.composite
def requests(draw: st.DrawFn) -> Drawn:
    method, template = draw(st.sampled_from(OPERATIONS))
    path = "/".join(draw(SEGMENT) if part.startswith("{") else part for part in template.split("/"))
    query = draw(st.lists(st.tuples(ODD, ODD), max_size=3))
    text = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query)
    headers, kind = draw(HEADERS), draw(TYPES)
    body = draw(bodies(method, template, kind)) if method != "GET" or draw(st.booleans()) else b""
    prefix = draw(st.sampled_from(["/api/v10", "/v10", "", "/wait=3/app=x/api/v10", "/headers=none/api/v10"]))
    if kind:
        headers |= {"Content-Type": kind}
    return Drawn(method, template, f"{prefix}{path}{f'?{text}' if text else ''}", headers, body)


@st.composite
def bodies(draw: st.DrawFn, method: str, template: str, kind: str) -> bytes:
    """Return JSON with some of the operation's fields, or anything else."""
    if draw(st.integers(0, 5)) == 0:
        return draw(st.binary(max_size=60))
    schema = body_schema(SPEC, method, template)
    names = sorted(each for one in alternatives(SPEC, schema or {}) for each in one.get("properties", {})) or ["x"]
    document = draw(st.dictionaries(st.sampled_from([*names, "nonce", "guild_id"]), JSON, max_size=5) | JSON)
    body = json.dumps(document).encode()
    return FORM % body if kind.startswith("multipart") else body


@examples(250)
@given(request=requests())
def test_a_request_is_refused_or_sent_as_it_came(port: Port, request: Drawn) -> None:
    answer = port.exchange(request.data(port.number))
    assert answer.startswith(b"HTTP/1.1 "), answer
    status = int(answer.split()[1])
    assert status != 500, answer
    assert CANARY.encode() not in answer
    sent = port.discord.requests
    refused = b"x-discordproxy-reason: invalid" in answer.lower()
    assert not (refused and sent), "it is refused before it is sent"
    for each in sent[:1]:
        assert each.start[0] == request.method
        assert each.headers["host"] == f"127.0.0.1:{port.discord.port}"
        assert each.headers.get("authorization", f"Bot {TOKEN}") == f"Bot {TOKEN}"
        assert CANARY not in str(each.headers)
        path, _, query = request.target.partition("?")
        sent_path, _, sent_query = each.start[1].partition("?")
        expected = path[path.index(request.template.split("/{", maxsplit=1)[0]) :]
        assert unquote(sent_path) == unquote(f"/api/v10{expected}")
        assert ".." not in unquote(unquote(sent_path)).split("/")
        assert sent_query == query
        if (request.method, request.template) != MESSAGE and not request.template.endswith("/callback"):
            assert each.body == request.body


def test_every_operation_is_drawn_from() -> None:
    assert len(OPERATIONS) > 200

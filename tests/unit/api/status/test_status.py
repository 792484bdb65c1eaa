"""The status document, the explanations and the checks' judgements: all pure."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from discordproxy_api.calls.recent_stats import LATENCY_BOUNDS_MS
from discordproxy_api.status import findings
from discordproxy_api.status.doctor import accepts_connections
from discordproxy_api.status.document import FORMAT, MAX_BUCKETS, document, percentile, queues, readable
from discordproxy_api.status.explain import explain
from discordproxy_api.status.findings import Finding
from discordproxy_api.status.gateway_metrics import MAX_SHARDS, GatewayMetrics
from discordproxy_gateway.cache import GatewayState, ShardState, Slot
from discordproxy_ratelimit.circuit import AppShare, CircuitState
from discordproxy_ratelimit.inspection import AccountState, BucketState
from discordproxy_ratelimit.shared.registry import TICKS, Snapshot

SEND = "POST /channels/{channel_id}/messages|channel_id=1"
READY = ShardState(
    slot=Slot(0, 1),
    state="ready",
    held=True,
    age_s=0.5,
    reason="",
    connected_since="2026-11-23T00:00:00+00:00",
    owner="host:7",
    counters={"events": 9, "latency_ms": 40},
)
GONE = replace(READY, held=False, state="")
GATEWAY = GatewayState((READY,), "", 999, 3, 30, ("guilds", "members"))


def post(**changes: Any) -> dict[str, Any]:
    made = {"format": FORMAT, "host": "h", "pid": 1, "number": 0, "version": "2", "started_at": 0.0, "state": "serving"}
    made |= {"in_progress": 0, "waiting": 0, "rss_mib": 80.0, "lanes": [], "failures": []}
    return made | changes


def look(*posts: dict[str, Any], ticks: list[dict[str, int]] | None = None, **changes: Any) -> dict[str, Any]:
    all_ticks = [{}] * (TICKS + 1 - len(ticks or [])) + (ticks or [])
    notices = Snapshot(at=1000.0, documents={}, ticks=all_ticks, tick_at=1000)
    lanes = queues(posts)
    known = {lane.bucket: BucketState(5, 2, 1.5, 1) for lane in lanes}
    account = AccountState(50, 7, 1, 0.0, 4, known)
    circuit = changes.get("circuit", CircuitState("closed", 0, 0.0))
    accounts = {("", "bot"): account, ("", "ip"): replace(account, held=0), ("second", "bot"): replace(account, held=0)}
    gateways = {"": changes.get("gateway", GATEWAY), "second": GATEWAY}
    return document(notices, posts, lanes, accounts, circuit, gateways, {("", "channel_id=1"): "#general, Home"})


def test_queues_of_all_workers_are_one_and_the_longest_comes_first() -> None:
    short = ["", "bot", "GET /x|", "?GET /x|", 0, 0.0]
    shown = look(
        post(lanes=[short, ["", "bot", SEND, "abc|channel_id=1", 2, 4.0]], waiting=2),
        post(number=1, lanes=[["", "bot", SEND, "abc|channel_id=1", 3, 9.5]], waiting=3),
    )
    first, second = shown["buckets"]
    assert first == {
        "bot": "",
        "route": "POST /channels/{channel_id}/messages",
        "major": "channel_id=1",
        "name": "#general, Home",
        "bucket": "abc",
        "waiting": 5,
        "oldest_s": 9.5,
        "limit": 5,
        "remaining": 2,
        "reset_after_s": 1.5,
        "granted": 1,
    }
    assert (second["route"], second["bucket"]) == ("GET /x", "")
    assert (shown["waiting"], shown["held"]) == (5, 4)
    assert [worker["number"] for worker in shown["workers"]] == [0, 1]
    assert "lanes" not in shown["workers"][0]


def test_during_an_upgrade_the_other_releases_workers_are_seen_at_least() -> None:
    shown = look(post(), readable(post(format=FORMAT + 1, lanes=[["new"]], failures="new", number=1, waiting=4)))
    assert [worker["number"] for worker in shown["workers"]] == [0, 1]
    assert (shown["buckets"], shown["errors"], shown["waiting"]) == ([], [], 4)


def test_the_document_is_bounded_whatever_the_workers_say() -> None:
    lanes = [["second", "bot", f"GET /{number}|", f"{number}|", 1, 1.0] for number in range(500)]
    failures = [[f"R{number}", "INTERNAL", "", 0, 0, 1, 5.0, "a", "id"] for number in range(500)]
    ticks = [{f"c:app{number}": number for number in range(500)}]
    shown = look(post(lanes=lanes, failures=failures), ticks=ticks)
    assert len(shown["buckets"]) == MAX_BUCKETS
    assert len(shown["errors"]) == 20
    assert [app["app"] for app in shown["apps"]][:2] == ["app499", "app498"]
    assert len(shown["apps"]) == 8
    assert len(shown["ticks"]["calls"]) == TICKS + 1
    assert shown["left_out"] == {
        "buckets": 500 - MAX_BUCKETS,
        "errors": 480,
        "apps": 492,
        "calls": sum(range(492)),
        "failures": 0,
    }


FORBIDDEN, MISSING = "x:PERMISSION_DENIED|DISCORD_ERROR|403|50013|", "x:NOT_FOUND|DISCORD_ERROR|404|10007|"


@pytest.mark.parametrize(
    ("calls", "failures", "warns"),
    [
        *[(0, 0, False), (4, 4, False), (5, 2, False), (5, 3, True), (19, 9, False), (19, 10, True), (20, 1, False)],
        *[(20, 2, True), (100, 9, False), (100, 10, True), (100, 35, True), (100_000, 9_999, False)],
    ],
)
def test_when_so_many_calls_fail_that_somebody_should_look(calls: int, failures: int, warns: bool) -> None:  # noqa: FBT001 - a parameter
    ticks = [{"c:srp": calls - calls // 2}, {"c:srp": calls // 2, FORBIDDEN + "srp": failures}]
    assert bool(look(ticks=ticks)["failing"]) is warns


def test_a_warning_names_share_application_and_commonest_cause() -> None:
    counts = {"c:srp": 100, "c:mail": 100, FORBIDDEN + "srp": 30, "x:UNAVAILABLE|DISCORD_UNREACHABLE|0|0|srp": 5}
    (found,) = look(ticks=[counts])["failing"]
    assert (found["app"], found["calls"], found["failures"], found["commonest"]) == ("", 200, 35, 30)
    assert found["text"] == (
        "18 % of the calls failed in five minutes (35 of 200, all of srp); most frequent cause (30 times): "
        "The bot lacks a permission (PERMISSION_DENIED, Discord's code 50013)."
    )
    assert found["fix"].startswith("`discordproxy doctor --channel ID`")
    assert all(bad(finding) and finding.fix for finding in findings.calls(look(ticks=[counts])))
    (good,) = findings.calls(look(ticks=[{"c:srp": 3, "f:srp": 1}]))
    assert (good.good, good.text) == (True, "1 of 3 calls failed in five minutes")


def test_an_application_that_fails_alone_is_named_among_many_that_do_not() -> None:
    counts = {"c:busy": 100_000, "c:a|b": 12, FORBIDDEN + "a|b": 12}
    (found,) = look(ticks=[counts])["failing"]
    assert found["text"].startswith("100 % of the calls of a|b failed in five minutes (12 of 12)")
    many = look(ticks=[{"c:a": 20, FORBIDDEN + "a": 20, "c:b": 20, FORBIDDEN + "b": 15}])["failing"]
    assert [(one["app"], one["failures"]) for one in many] == [("", 35), ("a", 20), ("b", 15)]


def test_a_no_of_discord_is_an_answer_and_no_failure() -> None:
    assert look(ticks=[{"c:auth": 100, "f:auth": 90, MISSING + "auth": 90}])["failing"] == []
    assert look(ticks=[{"c:auth": 100, "x:NOT_FOUND|DISCORD_ERROR|404|10003|auth": 90}])["failing"], "a wrong channel"


def test_counts_become_series() -> None:
    ticks = [{"c:srp": 4, "f:srp": 1, "l:4": 4, "r": 5, "9:user": 2}, {"c:srp": 1, "c:x": 2, "l:0": 3, "9:shared": 1}]
    shown = look(ticks=ticks)
    series = shown["ticks"]
    assert (series["calls"][-2:], series["failures"][-2:], series["requests"][-2:]) == ([4, 3], [1, 0], [5, 0])
    assert series["p50_ms"][-3:] == [None, 15.0, 0.5]
    assert shown["limited"] == {"user": 2, "shared": 1}
    srp = shown["apps"][0]
    assert (srp["app"], srp["calls"], srp["failures"], srp["series"][-2:]) == ("srp", 5, 1, [4, 1])


def test_errors_of_all_workers_are_merged_explained_and_quote_nobody() -> None:
    failed = ["GetChannel", "NOT_FOUND", "DISCORD_ERROR", 404, 10003]
    shown = look(
        post(failures=[[*failed, 2, 990.0, "a", "id1"]]), post(number=1, failures=[[*failed, 3, 995.0, "b", "id2"]])
    )
    (error,) = shown["errors"]
    assert (error["count"], error["ago_s"], error["app"], error["request_id"]) == (5, 5.0, "b", "id2")
    assert error["meaning"] == "The channel does not exist"


@pytest.mark.parametrize(("share", "expected"), [(0.5, 15.0), (0.95, 19.5), (1.0, 20.0)])
def test_a_percentile_is_read_off_inside_its_class(share: float, expected: float) -> None:
    classes = [0] * (len(LATENCY_BOUNDS_MS) + 1)
    classes[4] = 10
    assert percentile(classes, share) == expected
    assert percentile([0] * 16, share) is None


@pytest.mark.parametrize(
    ("failure", "meaning"),
    [
        (("PERMISSION_DENIED", "DISCORD_ERROR", 403, 50013), "The bot lacks a permission"),
        (("INVALID_ARGUMENT", "DISCORD_ERROR", 400, 160014), "The bot cannot read the message to forward"),
        (("PERMISSION_DENIED", "DISCORD_ERROR", 403, 99999), "The bot is not allowed to do this"),
        (("INTERNAL", "DISCORD_ERROR", 500, 0), "Discord failed"),
        (("UNAVAILABLE", "BROKER_UNAVAILABLE", 0, 0), "Redis does not answer, so no calls are sent"),
        (("INVALID_ARGUMENT", "INVALID_REQUEST", 400, 50035), "The request was invalid and was not sent"),
        (("DEADLINE_EXCEEDED", "", 0, 0), "The call exceeded its deadline"),
        (("ABORTED", "", 0, 0), "No explanation is available"),
    ],
)
def test_a_failure_is_explained_by_the_most_particular_thing_known(failure: Any, meaning: str) -> None:
    assert explain(*failure).meaning == meaning


def bad(found: Finding) -> bool:
    assert found.good or found.text
    return not found.good


def test_checks_of_discord() -> None:
    assert findings.token(200, "helper", 0.1).good
    assert "DISCORD_BOT_TOKEN" in findings.token(401, "", 0.1).fix
    assert bad(findings.token(503, "", 0.1))
    assert findings.reachability(401, "", 0.1, "https://d").good
    assert bad(findings.reachability(200, "", 4.0, "https://d"))
    assert "network" in findings.reachability(0, "DISCORD_UNREACHABLE", 3.0, "https://d").fix
    refused = "Discord could not be reached (certificate refused); check the machine's clock and SSL_CERT_FILE."
    found = findings.reachability(0, "DISCORD_UNREACHABLE", 3.0, "https://d", refused)
    assert found.text == "no answer from https://d: Discord could not be reached (certificate refused)"
    assert found.fix == "Check the machine's clock and SSL_CERT_FILE."
    assert "Redis" in findings.reachability(0, "BROKER_UNAVAILABLE", 3.0, "https://d").fix


def test_checks_of_files() -> None:
    assert findings.files([]) == []
    key, certificate = findings.files(["KEYS: no TOML", "CERT: 'x' expires soon; renew the file"])
    assert (key.good, key.text, key.fix) == (
        False,
        "KEYS: no TOML",
        "Correct the file; its previous content stays in use.",
    )
    assert (certificate.text, certificate.fix) == ("CERT: 'x' expires soon", "Renew the file.")


def test_checks_of_clocks_and_redis() -> None:
    assert findings.clock(None, "Discord").good
    assert findings.clock(-1.2, "Discord").good
    assert "90 s behind Discord" in findings.clock(-90, "Discord").text
    assert findings.redis("Valkey 9", [], "unix:///x")[0].good
    policy = "maxmemory-policy is allkeys-lru: a full server would silently evict rate limits; set it to noeviction"
    (found,) = findings.redis("Redis 7", [policy], "redis://x")
    assert (found.good, found.fix) == (False, "Set it to noeviction.")


@pytest.mark.parametrize(
    ("gateway", "text"),
    [
        (GATEWAY, "connected, 1 shard, 3 guilds"),
        (
            replace(GATEWAY, failure="The token was revoked"),
            "another gateway worker cannot log in: The token was revoked",
        ),
        (
            replace(GATEWAY, failure="The token was revoked", shards=(GONE,)),
            "the gateway worker cannot log in: The token",
        ),
        (
            replace(GATEWAY, failure="The token was revoked", shards=(GONE,), login_error="x"),
            "the gateway worker runs but cannot log in: The token was revoked",
        ),
        (
            replace(GATEWAY, shards=(GONE,), login_error="HTTP 500"),
            "the gateway worker runs but cannot log in: HTTP 500",
        ),
        (
            replace(GATEWAY, shards=(replace(GONE, state="fatal", reason="sharding required"),)),
            "the gateway worker cannot log in: sharding required",
        ),
        (
            replace(GATEWAY, shards=(replace(READY, state="refused", reason="handshake refused: HTTP 500"),)),
            "the gateway worker runs but cannot log in: handshake refused: HTTP 500",
        ),
        (
            replace(GATEWAY, shards=(READY, replace(READY, state="connecting", reason="closed by Discord"))),
            "1 of 2 shards not connected: closed by Discord",
        ),
        (replace(GATEWAY, shards=(GONE,)), "no gateway worker runs"),
        (replace(GATEWAY, shards=(replace(GONE, state="stopped"),)), "no gateway worker runs"),
        (replace(GATEWAY, shards=(replace(READY, state="waiting", reason="no sessions left"),)), "no sessions left"),
    ],
)
def test_check_of_the_gateway(gateway: GatewayState, text: str) -> None:
    found = findings.gateway(look(gateway=gateway)["bots"][0]["gateway"], "main")
    assert found.subject == "gateway main"
    assert text in found.text
    assert found.good == (gateway == GATEWAY)


def test_check_of_intents_reads_the_flags_of_the_application() -> None:
    assert findings.intents(["guilds", "members"], {"flags": 1 << 15}).good
    assert "Server Members Intent" in findings.intents(["guilds", "members"], {"flags": 1 << 18}).text
    assert findings.intents([], {"flags": 0}).good
    assert findings.intents(["members"], None).good
    assert findings.interactions({"interactions_endpoint_url": None}) == []
    assert bad(findings.interactions({"interactions_endpoint_url": "https://x"})[0])


def test_checks_of_workers_circuit_and_exposure() -> None:
    assert findings.workers(look(post(), post(number=1))).good
    assert "different versions" in findings.workers(look(post(), post(version="3"))).text
    assert bad(findings.workers(look(post(), post(state="not serving"))))
    assert findings.circuit(look()).good
    assert bad(findings.circuit(look(circuit=CircuitState("open", 0, 5.0))))
    assert bad(findings.circuit(look(circuit=CircuitState("closed", 6000, 0.0))))
    assert bad(
        findings.circuit(look(circuit=CircuitState("closed", 5000, 0.0, apps=(AppShare("a", 4800, stopped=True),))))
    )


SPENT = (
    "The circuit has been open for 10 min: nearly all invalid requests that Discord allows this machine's IP address "
    "are used up. Most invalid requests of the last ten minutes came from a (5000), b (4600)."
)
STOPPED = (
    "The application a is stopped: its 5000 invalid requests of the last ten minutes are its share of the limit "
    "for this machine's IP address; other applications continue."
)


@pytest.mark.parametrize(
    ("circuit", "problems"),
    [
        (CircuitState("closed", 90, 0.0, apps=(AppShare("a", 90, stopped=False),)), []),
        (
            CircuitState("open", 0, 5.0, 30.0, "blocked"),
            ["The circuit has been open for 30 s: Discord's edge blocks this machine's IP address."],
        ),
        (
            CircuitState(
                "open",
                9600,
                5.0,
                600.0,
                "spent",
                (AppShare("a", 5000, stopped=True), AppShare("b", 4600, stopped=False)),
            ),
            [SPENT, STOPPED],
        ),
    ],
)
def test_a_block_is_reported_with_its_beginning_and_cause(circuit, problems) -> None:
    told = look(circuit=circuit)["circuit"]
    assert told["problems"] == problems
    assert [share["app"] for share in told["apps"]] == [share.app for share in circuit.apps]
    assert findings.tls("127.0.0.1", local=True, encrypted=False, keys=False).good
    assert "DISCORDPROXY_TLS_CERT" in findings.tls("0.0.0.0", local=False, encrypted=False, keys=True).fix
    assert bad(findings.tls("0.0.0.0", local=False, encrypted=True, keys=False))
    assert findings.tls("0.0.0.0", local=False, encrypted=True, keys=True).good


def test_the_rest_port_is_named():
    found = findings.rest("::1", 50052, is_open=True, encrypted=True, calls=1)
    assert found.good
    assert found.text == (
        "the REST port [::1]:50052 is open; base URL of a library: https://HOST:50052/api/v10; 1 call in five minutes"
    )
    assert not findings.rest("::1", 50052, is_open=False, encrypted=True, calls=1).good


def test_the_rest_ports_of_all_workers_are_one() -> None:
    assert look(post())["rest"] is None
    assert look(post(rest="", rest_open=False))["rest"] is None
    posts = (
        post(rest="a:50052", rest_open=True),
        post(rest="b:50052", rest_open=True),
        post(rest="b:50052", rest_open=False),
    )
    shown = look(*posts, ticks=[{"d:http": 2, "d:grpc": 1}, {"d:http": 1}])
    assert shown["rest"] == {"addresses": ["a:50052", "b:50052"], "workers": 3, "open": 2}
    assert shown["doors"] == {"http": 3, "grpc": 1}


async def test_the_gateway_is_in_the_metrics_while_redis_answers() -> None:
    registry, gateways, redis_up = CollectorRegistry(), GatewayMetrics(), True
    registry.register(gateways)
    many = tuple(replace(READY, slot=Slot(number, 500)) for number in range(500))

    async def read() -> GatewayState:
        if not redis_up:
            raise ConnectionError
        return replace(GATEWAY, shards=many)

    probe = gateways.watch("main", read)
    assert await probe()
    value = registry.get_sample_value
    assert value("discordproxy_gateway_connected", {"bot": "main", "shard": "0"}) == 1
    assert value("discordproxy_gateway_latency_seconds", {"bot": "main", "shard": "0"}) == 0.04
    assert value("discordproxy_gateway_events_total", {"bot": "main", "shard": "0"}) == 9
    assert value("discordproxy_gateway_identifies_left", {"bot": "main"}) == 999
    assert generate_latest(registry).count(b"discordproxy_gateway_connected{") == MAX_SHARDS
    redis_up = False
    with pytest.raises(ConnectionError):
        await probe()
    assert b"discordproxy_gateway_connected{" not in generate_latest(registry)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", ""])
async def test_the_doctor_connects_to_the_rest_port(host: str) -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    assert await accepts_connections(host, port)
    server.close()
    await server.wait_closed()
    assert not await accepts_connections(host, port)

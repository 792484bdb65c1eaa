"""Requirements on every Lua script: a true header, declared keys in one Cluster slot, a TTL on every key."""

import asyncio
import itertools
import re
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import redis
from prometheus_client import CollectorRegistry
from redis.crc import key_slot

from discordproxy_ratelimit.broker import Broker, Limits
from discordproxy_ratelimit.circuit import Circuit
from discordproxy_ratelimit.headers import Answer
from discordproxy_ratelimit.inspection import SCRIPT as INSPECTION
from discordproxy_ratelimit.limiter.store import PARTS, Store
from discordproxy_ratelimit.metrics import Decisions
from discordproxy_ratelimit.redis.client import connect
from discordproxy_ratelimit.route import route_of_path
from discordproxy_ratelimit.shared import app_rate, tables
from discordproxy_ratelimit.shared.claims import CLAIM, ClaimQuota
from discordproxy_ratelimit.shared.registry import Registry
from fakes.eventually import eventually
from model.ratelimit_stories import STORIES
from model.ratelimit_story import Story
from processes.fleet import in_real_time

FOLDER = Path(str(files("discordproxy_ratelimit"))) / "lua"
SCRIPTS = {"broker": Store.BROKER, "reap": Store.REAP, "circuit": Circuit.SCRIPT, "claim": CLAIM}
SCRIPTS |= {"registry": Registry.SCRIPT, "inspect": INSPECTION, "app_rate": app_rate.SCRIPT, "tables": tables.SCRIPT}
CHANNEL, GUILD = 81384788765712384, 41771983423143937
KEYLESS = {"TIME", "PUBLISH"}
ALL_KEYS = {"UNLINK", "EXISTS", "DEL"}


def without_comments(text: str) -> str:
    return re.sub(r"--.*", "", text)


# Headers


def test_every_file_belongs_to_exactly_one_script() -> None:
    names = sorted(str(path.relative_to(FOLDER).with_suffix("")) for path in FOLDER.rglob("*.lua"))
    assert names == sorted(
        [*PARTS, "transitions/reap", "circuit", "claims", "registry", "inspect", "app_rate", "tables"]
    )


def test_the_parts_are_numbered_in_the_order_in_which_they_are_joined() -> None:
    for number, part in enumerate(PARTS, 1):
        header = (FOLDER / f"{part}.lua").read_text().splitlines()[:2]
        assert re.search(rf"^-- .*[Pp]art {number}:", "\n".join(header), re.MULTILINE), (part, header)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_says_what_it_takes_gives_and_costs(name: str) -> None:
    text = SCRIPTS[name].text
    assert text.startswith("#!lua flags=allow-oom\n"), "a full server must be able to give back what it holds"
    assert text.count("#!lua") == 1
    comments = "\n".join(re.findall(r"--.*", text))
    for promise in ("KEYS[1]", "ARGV[1]", "returns", "Complexity: O("):
        assert promise in comments, promise
    code = without_comments(text)
    for kind in ("KEYS", "ARGV"):
        used = set(re.findall(rf"{kind}\[(\d+)\]", code))
        assert used <= set(re.findall(rf"{kind}\[(\d+)\]", comments)), f"{kind} used but not described"


def test_every_transition_describes_its_item_and_its_reply() -> None:
    code = without_comments(Store.BROKER.text)
    kinds = re.search(r"local transitions = \{(.*?)\}", code, re.DOTALL)
    assert kinds
    comments = "\n".join(re.findall(r"--.*", Store.BROKER.text))
    described = set(re.findall(r"\{'([a-z])'", comments)) | {"n"}  # n: a sign of life, nothing more
    assert set(re.findall(r"(\w) = ", kinds[1])) == described


def test_scripts_use_no_more_than_the_oldest_server_knows() -> None:
    known = "EXISTS GET HDEL HEXISTS HGET HGETALL HINCRBY HLEN HMGET HRANDFIELD HSCAN HSET HSETNX PEXPIRE PUBLISH SET"
    known += " TIME UNLINK ZADD ZCARD ZCOUNT ZRANGE ZRANGEBYSCORE ZRANK ZREM ZREMRANGEBYSCORE ZSCORE"
    for name, script in SCRIPTS.items():
        used = set(re.findall(r"redis\.call\('(\w+)'", script.text))
        assert used <= set(known.split()), name
        assert script.text.count("redis.call(") == len(re.findall(r"redis\.call\('\w+'", script.text))


def test_no_script_walks_over_something_without_a_bound() -> None:
    """Whole collections are read only where their size is bounded, and by name here; loops over them are by count."""
    whole = {"circuit": ["HGETALL", "HGETALL"]}  # 61 cells; 33 applications
    whole["claim"] = ["HGETALL"]  # 25 parts of the time results are kept for
    whole["registry"] = ["HGETALL", "HGETALL"]  # 1000 names of a tick, live workers
    whole["tables"] = ["HGETALL"]  # 131 commands of a scope, and those deleted in the last hour
    for name, script in SCRIPTS.items():
        code = without_comments(script.text)
        found = re.findall(r"redis\.call\('(HGETALL|HKEYS|HVALS|SMEMBERS|KEYS|LRANGE|SORT)'", code)
        assert found == whole.get(name, []), name
        assert "while true" not in code
        for call in re.findall(r"redis\.call\('(?:ZRANGE|ZRANGEBYSCORE|HSCAN)'.*", code):
            assert re.search(r"0, 0|1, LOOKED_AT\)|'LIMIT', 0, 1\b|'COUNT', [1-5]00\b", call), call
    assert "local LOOKED_AT = 8 " in SCRIPTS["broker"].text


def test_ids_never_become_numbers() -> None:
    """Snowflakes do not fit a double; the scripts pass names around and look only at their own numbers."""
    code = without_comments(Store.BROKER.text)
    assert not re.findall(r"tonumber\((?:id|item\[2\]|lane_name|major|route)\b", code)


# Keys


class Spy:
    """Writes down what a server executes, as MONITOR shows it."""

    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(url)
        self._lines: list[str] = []
        self._monitor = self._client.monitor()
        self._monitor.__enter__()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                line = self._monitor.connection.read_response()
            except (redis.ConnectionError, OSError):  # the test failed and the server is gone
                return
            text = line.decode() if isinstance(line, bytes) else line
            if '"ECHO" "the end"' in text:
                return
            self._lines.append(text)

    def calls(self) -> Iterator[tuple[set[str], list[list[str]]]]:
        """Stop, and yield each script call: its declared keys and the commands it executed."""
        self._client.echo("the end")
        self._reader.join(timeout=30)
        self._monitor.__exit__(None, None, None)
        self._client.close()
        declared: set[str] = set()
        commands: list[list[str]] = []
        for line in self._lines:
            head, _, rest = line.partition("] ")
            words = [word.encode().decode("unicode_escape") for word in re.findall(r'"((?:[^"\\]|\\.)*)"', rest)]
            if head.endswith(" lua"):
                commands.append(words)
                continue
            if declared:
                yield declared, commands
            declared, commands = set(), []
            if words and words[0].upper() in {"EVALSHA", "EVAL", "FCALL"}:
                declared = set(words[3 : 3 + int(words[2])])
        if declared:
            yield declared, commands


def keys_of(command: list[str]) -> list[str]:
    name = command[0].upper()
    return [] if name in KEYLESS else command[1:] if name in ALL_KEYS else command[1:2]


async def busy_worker(url: str, prefix: str, meanwhile: Callable[[], None] = lambda: None) -> None:
    """A worker that meets most of what can happen: bursts, learning, refusals, pauses, 429s, giving up, notes.

    `meanwhile` is called while one call is in flight and another one waits for it.
    """
    client = connect(url)
    registry = CollectorRegistry()
    limits = in_real_time(Limits(global_limit=50))
    broker = Broker(client, prefix=prefix, bot_id="1", limits=limits, decisions=Decisions(registry))
    await broker.start()
    try:
        await broker.ready()
        await _meet_everything(broker, meanwhile)
    finally:
        await broker.close()


async def _meet_everything(broker: Broker, meanwhile: Callable[[], None]) -> None:
    deadline = asyncio.get_running_loop().time() + 100

    async def send(method: str, path: str, answer: Answer, **more: Any) -> None:
        async with broker.acquire(route_of_path(method, path, **more), deadline) as permit:
            permit.sent()
            await asyncio.sleep(0)
            permit.complete(answer)

    def ok(name: str, remaining: int) -> Answer:
        return Answer(200, name, 30, remaining, 1_790_000_000_000, 0.05)

    bursts = [send("POST", f"/channels/{CHANNEL + i % 3}/messages", ok("h1", i)) for i in range(12)]
    bursts += [send("GET", f"/guilds/{GUILD}/roles", Answer(200)) for _ in range(5)]
    bursts += [send("POST", f"/webhooks/{int(broker.worker, 16)}/abc", Answer(404, code=10015), no_bot_auth=True)]
    bursts += [send("GET", "/users/@me", Answer(200), bearer="other")]
    bursts += [
        send("DELETE", f"/channels/{CHANNEL}", Answer(403)),
        send("PUT", f"/channels/{CHANNEL}/pins/1", Answer(0)),
    ]
    await asyncio.gather(*bursts)
    for scope in ("user", "shared", "global"):
        too_many = Answer(429, "h2", 1, 0, 1_790_000_000_000, 0.01, retry_after_s=0.01, scope=scope)
        await send("PATCH", f"/guilds/{GUILD}", too_many)
    await send("PATCH", f"/guilds/{GUILD}", ok("h3", 1))
    async with broker.acquire(route_of_path("GET", f"/channels/{CHANNEL}")) as permit:
        waits = asyncio.create_task(send("GET", f"/channels/{CHANNEL}", Answer(200)))
        await eventually(lambda: broker.waiting == 1)
        await broker.claims.get("a round trip")
        meanwhile()
        waits.cancel()
        await asyncio.gather(waits, return_exceptions=True)
        permit.cancel()
    await broker.claims.set("dm", b"1", ttl_s=60)
    assert await broker.claims.get("dm") == b"1"
    keeper = ClaimQuota("app", 10_000, 60.0)
    claim = await broker.claims.claim(broker.worker, "r", owner="a", lease_s=5, keeper=keeper)
    assert claim.state == "ours"
    await broker.claims.complete(broker.worker, "r", owner="a", result=b"x", ttl_s=60, keeper=keeper)
    await broker.app_rate.reserve("app", per_s=10, max_wait_s=1)
    await broker.registry.publish(broker.worker, b"{}", {"calls": 1})
    await broker.registry.snapshot()
    await broker.inspect([lane.bucket for lane in broker.lanes(limit=20)])


def tell_every_story(url: str, prefix: str) -> None:
    with redis.Redis.from_url(url) as client, client.pubsub(ignore_subscribe_messages=True) as inbox:
        inbox.psubscribe(f"{prefix}*:in:*")
        inbox.get_message(timeout=5)
        for number, (steps, leaky) in enumerate(itertools.product(STORIES.values(), (False, True))):
            story = Story(client, inbox, f"{prefix}:{number}", 5, leaky)
            for step in steps:
                story.follow(step)
            story.clean_up()


async def test_every_key_is_declared_and_all_of_a_call_lie_in_one_slot(own_valkey: Any, key_prefix: str) -> None:
    spy = Spy(own_valkey.url)
    await asyncio.gather(*[busy_worker(own_valkey.url, key_prefix) for _ in range(2)])
    await asyncio.to_thread(tell_every_story, own_valkey.url, key_prefix)
    executed: defaultdict[str, int] = defaultdict(int)
    for declared, commands in spy.calls():
        assert len({key_slot(key.encode()) for key in declared}) == 1, declared
        for command in commands:
            executed[command[0].upper()] += 1
            assert set(keys_of(command)) <= declared, f"{command} touches what {sorted(declared)} does not name"
    assert {"GET", "SET", "HSET", "ZADD", "ZREM", "UNLINK", "PUBLISH", "PEXPIRE", "HDEL"} <= set(executed)
    assert sum(executed.values()) > 1000


async def test_whatever_is_kept_ends_by_itself(own_valkey: Any, key_prefix: str) -> None:
    seen: set[str] = set()

    def look() -> None:
        with redis.Redis.from_url(own_valkey.url, decode_responses=True) as client:
            keys = list(client.scan_iter())
            assert [key for key in keys if not -1 != client.pttl(key) <= 86_400_000] == []
        assert all(key.startswith(f"{{{key_prefix}:") for key in keys)
        seen.update(re.sub(r".*\}:(rl3:)?", "", key).partition(":")[0] for key in keys)

    await busy_worker(own_valkey.url, key_prefix, look)
    look()
    assert seen >= {"g", "slots", "held", "workers", "routes", "blocks", "b", "l", "q", "cells", "note"}


def test_two_bots_and_an_address_lie_in_slots_of_their_own() -> None:
    tags = [f"{{dp:{name}}}:rl3:g".encode() for name in ("1", "2", "ip:default")]
    assert len({key_slot(tag) for tag in tags}) == 3


FUNCTIONS = {"FUNCTION|LOAD", "FCALL"}


@pytest.mark.parametrize(
    "missing", [set(), FUNCTIONS, {"FUNCTION|LOAD"}, {"FCALL"}], ids=["none", "both", "load", "call"]
)
async def test_a_server_user_without_more_rights_than_needed(
    own_valkey: Any, key_prefix: str, missing: set[str]
) -> None:
    """What an operator has to grant: the scripts' commands, the key prefix, the channels; functions are optional."""
    commands = {name for script in SCRIPTS.values() for name in re.findall(r"redis\.call\('(\w+)'", script.text)}
    commands |= {"EVAL", "EVALSHA", "GET", "SET", "SUBSCRIBE", "UNSUBSCRIBE"} | (FUNCTIONS - missing)
    rules = [f"+{name.lower()}" for name in commands]
    with redis.Redis.from_url(own_valkey.url) as client:
        client.execute_command(
            "ACL",
            "SETUSER",
            "worker",
            "on",
            ">pass",
            "resetkeys",
            f"~{{{key_prefix}:*",
            "resetchannels",
            f"&{key_prefix}:in:*",
            "-@all",
            "+ping",
            "+info",
            "+client",
            "+select",
            *rules,
        )
        await busy_worker(own_valkey.url.replace("unix://", "unix://worker:pass@"), key_prefix)
        refused = {entry["object"].upper() for entry in client.acl_log()}
        ran = {name.removeprefix("cmdstat_") for name in client.info("commandstats")}
    assert refused == (missing if missing != FUNCTIONS else {"FUNCTION|LOAD"})
    assert "fcall" in ran if not missing else "evalsha" in ran


async def test_a_function_that_is_removed_is_replaced_by_the_script(own_valkey: Any, key_prefix: str) -> None:
    def flush() -> None:
        with redis.Redis.from_url(own_valkey.url) as client:
            assert client.function_list()
            client.function_flush()
            client.config_resetstat()

    await busy_worker(own_valkey.url, key_prefix, flush)
    with redis.Redis.from_url(own_valkey.url) as client:
        assert client.info("commandstats")["cmdstat_eval"]["calls"] > 0
        assert client.function_list() == []


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_loads(own_valkey: Any, name: str) -> None:
    script = SCRIPTS[name]
    with redis.Redis.from_url(own_valkey.url) as client:
        assert client.script_load(script.text) == script.sha
        if script.library:
            assert client.function_load(script.library) == script.function.encode()

"""Several bots on the REST port of a whole server: key, token or option select one; each has limits of its own."""

from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from discordproxy_api.access.keys import digest_of, new_key
from discordproxy_sandbox.limits.book import RouteLimit
from discordproxy_sandbox.sandbox import Sandbox, SandboxConfig
from fakes.ports import free_port
from processes.deployment import CHANNEL, Server

FIRST = "MTAwMDAwMDAwMDAwMDAwMDAx.GaBcDe.c4nary-of-the-first-bot"
SECOND = "MTAwMDAwMDAwMDAwMDAwMDAy.GaBcDe.c4nary-of-the-second-bot"
FIRST_KEY, SECOND_KEY = new_key(), new_key()
LIMIT = RouteLimit(limit=6, window_s=600.0, kind="fixed")


@dataclass(frozen=True)
class Case:
    """A request, and the bot that serves it or the status of its refusal."""

    name: str
    headers: dict[str, str]
    options: str = ""
    bot: str = ""
    refused: int = 0


def bot(credential: str, **others: str) -> dict[str, str]:
    return {"Authorization": f"Bot {credential}", **others}


WITHOUT_KEYS = [
    Case("nothing", {}, bot=FIRST),
    Case("option", {}, "/bot=second", bot=SECOND),
    Case("option of the first", {}, "/bot=first", bot=FIRST),
    Case("token", bot(SECOND), bot=SECOND),
    Case("token and its option", bot(SECOND), "/bot=second", bot=SECOND),
    Case("anything like a key", bot("dpk_x"), "/bot=second", bot=SECOND),
    Case("unknown option", {}, "/bot=third", refused=400),
    Case("token of another", bot(FIRST), "/bot=second", refused=400),
]
WITH_KEYS = [
    Case("key of the first", bot(FIRST_KEY), bot=FIRST),
    Case("key of the second", bot(SECOND_KEY), bot=SECOND),
    Case("key and its option", bot(SECOND_KEY), "/bot=second", bot=SECOND),
    Case("key beside the token", bot(SECOND, **{"Proxy-Authorization": f"Bearer {SECOND_KEY}"}), bot=SECOND),
    Case("key in the path", {}, f"/key={SECOND_KEY}", bot=SECOND),
    Case("token", bot(SECOND), bot=SECOND),
    Case("nothing", {}, "/bot=second", refused=401),
    Case("key of another", bot(FIRST_KEY), "/bot=second", refused=400),
    Case("key beside the token of another", bot(SECOND, **{"Proxy-Authorization": f"Bearer {FIRST_KEY}"}), refused=401),
    Case("unknown option", bot(SECOND_KEY), "/bot=third", refused=400),
]


@pytest.fixture
def rest(settings: dict[str, str], tmp_path: Path) -> str:
    (tmp_path / "bots.toml").write_text(
        f'[[bots]]\nname = "first"\ntoken = "{FIRST}"\n[[bots]]\nname = "second"\ntoken = "{SECOND}"\n'
    )
    del settings["DISCORD_BOT_TOKEN"]
    settings["DISCORDPROXY_BOTS"] = str(tmp_path / "bots.toml")
    settings["DISCORDPROXY_REST_PORT"] = str(free_port())
    return f"http://127.0.0.1:{settings['DISCORDPROXY_REST_PORT']}"


def require_keys(settings: dict[str, str], tmp_path: Path) -> None:
    entries = (("one", FIRST_KEY, "first"), ("two", SECOND_KEY, "second"))
    text = "\n".join(
        f'[[keys]]\napp = "{app}"\nsha256 = "{digest_of(key)}"\nbot = "{bot}"' for app, key, bot in entries
    )
    (tmp_path / "keys.toml").write_text(text)
    settings["DISCORDPROXY_KEYS_FILE"] = str(tmp_path / "keys.toml")


async def status_of(rest: str, case: Case, wait: str = "/wait=30") -> tuple[int, str]:
    url, body = f"{rest}{case.options}{wait}/api/v10/channels/{CHANNEL}/messages", {"content": case.name}
    async with aiohttp.request("POST", url, headers=case.headers, json=body) as answer:
        return answer.status, answer.headers.get("X-Discordproxy-Reason", "")


@pytest.mark.parametrize("discord", [SandboxConfig(token=None)], indirect=True)
@pytest.mark.parametrize("cases", [WITHOUT_KEYS, WITH_KEYS], ids=["no keys", "keys"])
async def test_a_request_goes_out_as_its_bot(
    cases: list[Case], discord: Sandbox, server: Server, settings: dict[str, str], rest: str, tmp_path: Path
) -> None:
    discord.access.tokens = {FIRST, SECOND}
    discord.limits.set("POST /channels/{channel_id}/messages", LIMIT)
    if cases is WITH_KEYS:
        require_keys(settings, tmp_path)
    async with server("--workers", "2") as whole:
        for worker in (0, 1):
            await whole.line(f"worker {worker} serves Discord's HTTP API")
        for case in cases:
            sent = len(discord.ledger.stored)
            status, _ = await status_of(rest, case)
            assert status == (case.refused or 200), case.name
            assert len(discord.ledger.stored) - sent == (not case.refused), case.name
        by_bot = {token: sum(case.bot == token for case in cases) for token in (FIRST, SECOND)}
        await exhausted(rest, cases, by_bot)
        discord.access.tokens = {SECOND}
        for case in (case for case in cases if case.bot == FIRST):
            status, _ = await get(rest, case)
            assert status in {401, 503}, f"{case.name} is not the first bot"
        for case in (case for case in cases if case.bot == SECOND):
            assert await get(rest, case) == (200, ""), f"{case.name} is not the second bot"
    assert FIRST not in whole.output
    assert SECOND not in whole.output


async def exhausted(rest: str, cases: list[Case], by_bot: dict[str, int]) -> None:
    """Use up the limit of each bot: the calls of one do not count for the other."""
    first = next(case for case in cases if case.bot == FIRST)
    second = next(case for case in cases if case.bot == SECOND)
    for case in (first, second):
        for _ in range(LIMIT.limit - by_bot[case.bot]):
            assert await status_of(rest, case) == (200, "")
        assert await status_of(rest, case) == (429, "WAIT_EXCEEDS_MAX_WAIT")


async def get(rest: str, case: Case) -> tuple[int, str]:
    url = f"{rest}{case.options}/api/v10/channels/{CHANNEL}"
    async with aiohttp.request("GET", url, headers=case.headers) as answer:
        return answer.status, answer.headers.get("X-Discordproxy-Reason", "")

"""A secured server: TLS, keys made by the command, two bots, an audit log; no secret leaks."""

import signal
from pathlib import Path

import grpc
import pytest
import redis.asyncio

from discordproxy.aio import AsyncDiscordClient
from discordproxy.exceptions import DiscordProxyGrpcError, DiscordProxyHttpError
from discordproxy_ratelimit.server.embedded import folder_of
from discordproxy_sandbox.sandbox import Sandbox, SandboxConfig
from fakes.certificates import Authority
from processes.deployment import CHANNEL, Server, left_running
from processes.process import children_of, visible

FIRST = "MTAwMDAwMDAwMDAwMDAwMDAx.GaBcDe.c4nary-of-the-first-bot"
SECOND = "MTAwMDAwMDAwMDAwMDAwMDAy.GaBcDe.c4nary-of-the-second-bot"


@pytest.fixture
def bots(settings: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "second.token").write_text(SECOND)
    (tmp_path / "bots.toml").write_text(
        f'[[bots]]\nname = "first"\ntoken = "{FIRST}"\n\n[[bots]]\nname = "second"\ntoken_file = "second.token"\n'
    )
    del settings["DISCORD_BOT_TOKEN"]
    settings["DISCORDPROXY_BOTS"] = str(tmp_path / "bots.toml")


async def make_key(server: Server, app: str, path: Path, entry: str = "") -> str:
    async with server("keys", "new", "--app", app, "--file", str(path), command="discordproxy") as making:
        assert await making.ended() == 0, making.output
        key = next(line for line in making.lines if line.startswith("dpk_"))
    with path.open("a") as file:
        file.write(entry)
    return key


@pytest.mark.parametrize("discord", [SandboxConfig(token=None)], indirect=True)
async def test_two_bots_behind_tls_and_keys(
    discord: Sandbox, bots: None, server: Server, settings: dict[str, str], free_port: int, tmp_path: Path
) -> None:
    discord.access.tokens = {FIRST, SECOND}
    authority = Authority(tmp_path)
    pair, keys = authority.issue(), tmp_path / "keys.toml"
    srp = await make_key(server, "srp", keys)
    corp = await make_key(server, "corp", keys, f'bot = "second"\nchannels = [{CHANNEL}]\n')
    settings |= {
        "DISCORDPROXY_TLS_CERT": str(pair.cert),
        "DISCORDPROXY_TLS_KEY": str(pair.key),
        "DISCORDPROXY_KEYS_FILE": str(keys),
        "DISCORDPROXY_DRAIN_TIMEOUT": "3",
    }

    def client(key: str | None) -> AsyncDiscordClient:
        target = f"localhost:{free_port}"
        return AsyncDiscordClient(target, timeout=20, api_key=key, tls=str(authority.path), retries=0)

    async with server() as whole, client(srp) as first, client(corp) as second, client(None) as nobody:
        await whole.line("Discord Proxy .* is ready", within_s=40)
        for each in ("first", "second"):
            await whole.line(rf"gateway\.{each} started")
        await first.create_channel_message(CHANNEL, "c4nary content")
        await second.create_channel_message(CHANNEL, "c4nary content")
        with pytest.raises(DiscordProxyGrpcError) as refused:
            await second.create_channel_message(CHANNEL + 1, "c4nary content")
        assert refused.value.status is grpc.StatusCode.PERMISSION_DENIED
        with pytest.raises(DiscordProxyGrpcError) as refused:
            await nobody.create_channel_message(CHANNEL, "c4nary content")
        assert refused.value.status is grpc.StatusCode.UNAUTHENTICATED
        assert await accounts(settings) == {"100000000000000001", "100000000000000002"}
        discord.access.tokens = {FIRST}
        with pytest.raises(DiscordProxyHttpError) as rejected:
            await second.create_channel_message(CHANNEL, "c4nary content")
        assert rejected.value.status == 401
        await first.create_channel_message(CHANNEL, "c4nary content")  # the other bot's trouble is not its own
        await whole.line(r"audit: app=corp .*outcome=UNAUTHENTICATED/DISCORD_ERROR sent=no")
        seen = b"".join(visible(pid) for pid in (whole.pid, *children_of(whole.pid)))
        whole.signal(signal.SIGTERM)
        assert await whole.ended(within_s=40) == 0
    log = (tmp_path / "discordproxyserver.log").read_text()
    assert f"app=corp key={corp_name(keys)}" in log
    for secret in ("c4nary", srp, corp):
        assert secret not in whole.output + log
        assert secret.encode() not in seen
    assert len(discord.ledger.stored) == 3
    assert left_running(settings["XDG_RUNTIME_DIR"]) == []


def corp_name(keys: Path) -> str:
    return keys.read_text().partition('app = "corp"')[2].partition('sha256 = "')[2][:8]


async def accounts(settings: dict[str, str]) -> set[str]:
    """Bots that have buckets of their own in Redis."""
    folder = Path(settings["XDG_RUNTIME_DIR"]) / "discordproxy" / folder_of(FIRST).name
    async with redis.asyncio.Redis.from_url(f"unix://{folder}/broker.sock", decode_responses=True) as client:
        return {key.partition("}")[0].rpartition(":")[2] async for key in client.scan_iter("{dp:*:1*}:rl3:b*")}

"""A short run of `make bench-hostile`: under attack the worker survives, stays small and serves the others."""

import random
from pathlib import Path

import pytest

from discordproxy_sandbox.sandbox import Sandbox, SandboxConfig
from fakes.eventually import eventually
from fakes.ports import free_port
from hostile import attacks
from hostile.frames import HELLO
from hostile.siege import Scale, Siege, complaints, report, victim
from processes.deployment import TOKEN

LITTLE = Scale(
    requests=500,
    oddities=1,
    huge=2,
    connections=300,
    slow=10,
    bombs=4,
    watchers=4,
    half_requests=300,
    bodies=20,
    quiet_s=0.5,
    patience_s=0.5,
)
MOST_MIB = 500
KEPT = 150  # connections to Redis and Discord stay open for the next call


@pytest.mark.smoke
@pytest.mark.timeout(300)
@pytest.mark.parametrize("discord", [SandboxConfig(token=TOKEN, global_limit=None)], indirect=True)
async def test_hostile_callers(
    discord: Sandbox, settings: dict[str, str], valkey: str, key_prefix: str, tmp_path: Path
) -> None:
    settings |= {"DISCORDPROXY_REDIS_URL": valkey, "DISCORDPROXY_KEY_PREFIX": key_prefix}
    settings |= {"DISCORDPROXY_GLOBAL_LIMIT": "100000", "DISCORDPROXY_HTTP_PORT": str(free_port())}
    settings |= {"DISCORDPROXY_REST_PORT": str(free_port())}
    async with victim(settings, discord, tmp_path) as worker:
        descriptors = worker.descriptors
        siege = Siege(worker, LITTLE, seed=1)
        await siege.run()
        seen = report(siege.phases)
        last = siege.phases[-1]
        assert last.took_s, seen
        assert not last.failed, seen
        assert not any(phase.notes == "died" for phase in siege.phases), seen
        assert max(phase.rss_mib for phase in siege.phases) < MOST_MIB, seen
        assert not complaints(siege.phases), seen
        await eventually(lambda: worker.descriptors < descriptors + KEPT, within_s=30)
        assert "Traceback" not in worker.process.output
        assert "INTERNAL" not in worker.process.output
        assert not discord.ledger.violations


@pytest.mark.parametrize("discord", [SandboxConfig(token=TOKEN)], indirect=True)
async def test_connections_beyond_the_bound_are_turned_away(
    discord: Sandbox, settings: dict[str, str], valkey: str, key_prefix: str, tmp_path: Path
) -> None:
    settings |= {"DISCORDPROXY_REDIS_URL": valkey, "DISCORDPROXY_KEY_PREFIX": key_prefix}
    settings |= {"DISCORDPROXY_MAX_CONNECTIONS": "10"}
    async with victim(settings, discord, tmp_path) as worker:
        async with attacks.open_connections(worker.port, 30, HELLO) as taken:
            assert taken == 10

        async def there_is_room_again() -> bool:
            async with attacks.open_connections(worker.port, 5, HELLO) as taken:
                return taken == 5

        await eventually(there_is_room_again)


@pytest.mark.parametrize("discord", [SandboxConfig(token=TOKEN)], indirect=True)
async def test_half_requests_by_http_leave_files_for_grpc(
    discord: Sandbox, settings: dict[str, str], valkey: str, key_prefix: str, tmp_path: Path
) -> None:
    http_port = free_port()
    settings |= {"DISCORDPROXY_REDIS_URL": valkey, "DISCORDPROXY_KEY_PREFIX": key_prefix}
    settings |= {"DISCORDPROXY_HTTP_PORT": str(http_port)}
    half = attacks.half_request(random.Random(1))
    async with victim(settings, discord, tmp_path, files=200) as worker:
        async with attacks.open_connections(http_port, 300, half, answered=False):
            async with attacks.open_connections(worker.port, 5, HELLO) as taken:
                assert taken == 5
            assert worker.descriptors < 200
        assert any("may open only 200 files" in line for line in worker.process.lines)

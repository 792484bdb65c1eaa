"""The HTTP port beyond this machine: health for all, the rest behind the keys; HTTPS by the same certificate."""

import base64
import ssl

import aiohttp
import pytest

from discordproxy_api.__main__ import http_guard
from discordproxy_api.access.authenticator import Authenticator
from discordproxy_api.access.keys import new_key, read_keys
from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.http.server import HttpServer
from discordproxy_api.settings import ApiSettings
from discordproxy_api.status.health import Health
from discordproxy_api.tls import Tls, TlsFiles
from fakes.certificates import Authority
from integration.api.access.test_access import table
from unit.api.access.test_keys import Fixed

KEY, LIMITED = new_key(), new_key()
RING = Fixed(read_keys(table(KEY) + table(LIMITED, "limited", channels=[1])))


def settings(**values) -> ApiSettings:
    return ApiSettings(DISCORD_BOT_TOKEN="t", **values)


@pytest.mark.parametrize(
    ("values", "keys", "stranger", "holder"),
    [
        ({"host": "127.0.0.1"}, RING, True, True),
        ({"host": "0.0.0.0"}, RING, False, True),
        ({"host": "0.0.0.0", "allow_anonymous": True}, RING, False, True),
        ({"host": "0.0.0.0", "allow_anonymous": True}, None, True, True),
        ({"host": "0.0.0.0"}, None, False, False),  # certificates, which only gRPC asks for
    ],
)
def test_who_may_see_more_than_health(values, keys, stranger, holder):
    guard = http_guard(settings(**values), Authenticator(keys, Metrics()))
    assert guard({}, "192.0.2.1") is stranger
    assert guard({"Authorization": f"Bearer {KEY}"}, "192.0.2.1") is holder


async def test_pages_ask_for_a_key_and_health_does_not(tmp_path):
    authority = Authority(tmp_path)
    pair, metrics = authority.issue(), Metrics()
    tls = Tls(TlsFiles(pair.cert, pair.key))
    guard = http_guard(settings(host="0.0.0.0"), Authenticator(RING, metrics))
    ops = HttpServer(Health({}, metrics), metrics, guard=guard, tls=tls.for_http())
    port = await ops.start("127.0.0.1", 0)
    trust = ssl.create_default_context(cafile=str(authority.path))

    async def status(path: str, **how) -> int:
        async with aiohttp.request("GET", f"https://localhost:{port}{path}", ssl=trust, **how) as answer:
            if answer.status == 401:
                assert "Basic" in answer.headers["WWW-Authenticate"]
            return answer.status

    try:
        assert [await status(path) for path in ("/healthz", "/livez", "/readyz")] == [200, 200, 503]
        assert [await status(path) for path in ("/metrics", "/", "/healthz/../metrics", "/none")] == [401] * 4
        assert await status("/metrics", headers={"Authorization": f"Bearer {KEY}"}) == 200
        password = base64.b64encode(f"anybody:{KEY}".encode()).decode()
        assert await status("/metrics", headers={"Authorization": f"Basic {password}"}) == 200
        assert await status("/metrics", headers={"Authorization": f"Bearer {LIMITED}"}) == 401
    finally:
        await ops.close()

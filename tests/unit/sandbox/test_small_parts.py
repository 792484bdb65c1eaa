import zlib
from random import Random

import pytest

from discordproxy_sandbox.access import Access
from discordproxy_sandbox.errors import DiscordError
from discordproxy_sandbox.gateway.compression import ZlibStream, ZstdStream, compressor, zstd_available
from discordproxy_sandbox.ledger import Ledger, Record, Stored, is_invalid
from discordproxy_sandbox.rest.faults import Fault, Faults
from discordproxy_sandbox.rest.latency import Latency
from discordproxy_sandbox.world.snowflakes import Snowflakes, created_at, iso

EPOCH = 1_790_000_000.0


def test_snowflakes_grow_and_contain_their_time():
    flakes = Snowflakes(lambda: EPOCH)
    ids = [int(flakes.next()) for _ in range(1000)]
    assert ids == sorted(set(ids))
    assert created_at(str(ids[0])) == pytest.approx(EPOCH, abs=0.001)
    assert iso(EPOCH) == "2026-09-21T14:13:20.000000+00:00"


def test_latency_stays_in_its_bounds():
    latency, random = Latency(latency_s=0.03, jitter_s=0.01, inbound_share=0.25), Random(1)
    for _ in range(1000):
        inbound, outbound = latency.draw(random)
        assert 0.02 <= inbound + outbound <= 0.04
        assert inbound == pytest.approx((inbound + outbound) / 4)
    assert Latency().draw(random) == (0.0, 0.0)
    spikes = [sum(Latency(spike_chance=0.1, spike_s=1.0).draw(random)) for _ in range(1000)]
    assert 100 < sum(spikes) < 300


def test_faults_match_by_method_and_path():
    faults = Faults()
    faults.add(Fault(kind="reset", method="POST", path="/messages$", count=2))
    faults.add(Fault(kind="status", skip=1))
    assert faults.consume("GET", "/channels/1/messages") is None
    assert faults.consume("GET", "/channels/1/messages").kind == "status"
    assert [getattr(faults.consume("POST", "/channels/1/messages"), "kind", None) for _ in range(3)] == [
        "reset"
    ] * 2 + [None]
    assert faults.queue == []


def test_a_broken_pattern_is_refused_at_once():
    with pytest.raises(ValueError, match="unterminated"):
        Faults().add(Fault(kind="reset", path="["))


def test_the_ledger_counts():
    ledger = Ledger()
    for number in (1, 2):
        ledger.open(Record(number, EPOCH, "GET", "/x"))
    assert (ledger.records[1].in_flight, ledger.max_in_flight) == (2, 2)
    ledger.records[0].scope, ledger.records[0].avoidable = "user", True
    ledger.close(ledger.records[0], 429, EPOCH)
    ledger.close(ledger.records[1], 200, EPOCH)
    stored = [("1", "a", "n1"), ("1", "a", "n1"), ("1", "b", ""), ("2", "a", "n1")]
    ledger.stored += [Stored(channel, str(n), digest, nonce) for n, (channel, digest, nonce) in enumerate(stored)]
    stats = ledger.stats()
    assert stats["429"] == {"avoidable": 1, "injected": 0, "by_scope": {"user": 1}}
    assert (stats["duplicate_nonces"], stats["duplicate_contents"], stats["invalid"]) == (1, 1, 1)
    assert ledger.order("1") == ["0", "1", "2"]
    ledger.clear()
    assert ledger.stats()["requests"] == 0


@pytest.mark.parametrize(
    ("status", "scope", "invalid"),
    [
        (401, "", True),
        (403, "", True),
        (429, "user", True),
        (429, "global", True),
        (429, "shared", False),
        (404, "", False),
    ],
)
def test_invalid_requests(status, scope, invalid):
    assert is_invalid(status, scope) is invalid


def test_credentials_hide_the_token():
    access = Access({"good"})
    bot = access.credential("Bot good")
    assert bot.kind == "bot"
    assert "good" not in repr(access) + repr(bot)
    assert access.credential("Bearer x").kind == "bearer"
    assert access.credential(None).kind == "none"
    for header in ("Bot bad", "Bot ", "good", "Basic x"):
        with pytest.raises(DiscordError) as caught:
            access.credential(header)
        assert caught.value.status == 401


def test_zlib_pieces_make_one_stream():
    stream, reader = ZlibStream(), zlib.decompressobj()
    for payload in (b"one", b"two" * 1000):
        piece = stream.compress(payload)
        assert piece.endswith(b"\x00\x00\xff\xff")
        assert reader.decompress(piece) == payload


@pytest.mark.skipif(not zstd_available(), reason="NOT TESTED: zstd-stream; the package zstandard is missing")
def test_zstd_pieces_make_one_stream():
    zstandard = pytest.importorskip("zstandard")
    stream, reader = ZstdStream(), zstandard.ZstdDecompressor().decompressobj()
    for payload in (b"one", b"two" * 1000):
        assert reader.decompress(stream.compress(payload)) == payload


def test_unknown_compression_is_none():
    assert compressor("brotli") is None
    assert isinstance(compressor("zlib-stream"), ZlibStream)


def test_the_printed_token_has_discords_format():
    import base64

    from discordproxy_sandbox.world.population import BOT_ID, TOKEN

    first, *others = TOKEN.split(".")
    assert base64.b64decode(first + "=" * (-len(first) % 4)).decode() == BOT_ID
    assert len(others) == 2

"""The error of an unusable certificate contains setting, file and fix; changed files are reloaded."""

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from discordproxy_api.tls import Tls, TlsFiles, read_certificates
from discordproxy_ratelimit.process.reloading import ReloadedValue, UnusableFileError
from fakes.certificates import Authority

NOW = datetime.now(UTC)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def refusal(files: TlsFiles, now: datetime = NOW) -> str:
    with pytest.raises(UnusableFileError) as refused:
        read_certificates(files, now)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_good_files(authority: Authority):
    pair = authority.issue()
    found = read_certificates(TlsFiles(pair.cert, pair.key, authority.path), NOW)
    assert found.expires_at > NOW
    assert "BEGIN" not in repr(found)


def test_missing_file(authority: Authority, tmp_path: Path):
    pair = authority.issue()
    assert "DISCORDPROXY_TLS_CERT: cannot read" in refusal(TlsFiles(tmp_path / "none.pem", pair.key))
    assert "DISCORDPROXY_TLS_KEY: cannot read" in refusal(TlsFiles(pair.cert, tmp_path / "none.pem"))
    assert "DISCORDPROXY_TLS_CLIENT_CA: cannot read" in refusal(TlsFiles(pair.cert, pair.key, tmp_path / "none.pem"))


def test_not_pem(authority: Authority, tmp_path: Path):
    pair, text = authority.issue(), tmp_path / "text"
    text.write_text("hello")
    assert "contains no certificate" in refusal(TlsFiles(text, pair.key))
    assert "contains no private key" in refusal(TlsFiles(pair.cert, text))
    assert "DISCORDPROXY_TLS_CLIENT_CA" in refusal(TlsFiles(pair.cert, pair.key, text))


def test_key_of_another_certificate(authority: Authority):
    pair, other = authority.issue(), authority.issue("other")
    assert "does not belong to the certificate" in refusal(TlsFiles(pair.cert, other.key))


def test_key_with_a_passphrase(authority: Authority):
    pair = authority.issue()
    key = load_pem_private_key(pair.key.read_bytes(), None)
    form = Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
    pair.key.write_bytes(key.private_bytes(*form))
    assert "passphrase" in refusal(TlsFiles(pair.cert, pair.key))


def test_expired_and_not_yet_valid(authority: Authority):
    pair = authority.issue(until=datetime(2021, 1, 1, tzinfo=UTC))
    assert "expired on 2021-01-01 00:00 UTC" in refusal(TlsFiles(pair.cert, pair.key))
    assert "clock" in refusal(TlsFiles(pair.cert, pair.key), datetime(2019, 1, 1, tzinfo=UTC))


def test_a_readable_key_is_logged(authority: Authority, caplog: pytest.LogCaptureFixture):
    pair = authority.issue()
    pair.key.chmod(0o644)
    read_certificates(TlsFiles(pair.cert, pair.key), NOW)
    assert "chmod 600" in caplog.text


def test_a_near_expiry_is_reported_and_logged_once_a_day(authority: Authority, caplog: pytest.LogCaptureFixture):
    """The process may have read the certificate months ago."""
    pair, now = authority.issue(until=NOW + timedelta(days=30)), [NOW]
    tls = Tls(TlsFiles(pair.cert, pair.key), now=lambda: now[0])
    for days, lines, problem in ((15, 0, ""), (17, 1, "expires on"), (17.5, 1, "expires on"), (31, 2, "expired on")):
        now[0] = NOW + timedelta(days=days)
        assert tls.current.expires_at
        assert caplog.text.count("DISCORDPROXY_TLS_CERT: the certificate read from") == lines
        assert problem in tls.problem()
        assert bool(tls.problem()) is bool(problem)


class Seconds:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_changed_file_is_read_again_and_a_bad_one_changes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    path, clock, reads = tmp_path / "file", Seconds(), []

    def make() -> str:
        reads.append(text := path.read_text())
        if "bad" in text:
            raise UnusableFileError("it is bad")
        return text

    path.write_text("one")
    watched = ReloadedValue([path], make, clock=clock)
    path.write_text("second")
    assert watched.get() == "one"  # checked at most once a second
    clock.now += 1
    assert watched.get() == "second"
    path.write_text("a bad one")
    clock.now += 1
    assert watched.get() == watched.get() == "second"
    assert caplog.text.count("it is bad") == 1
    assert watched.problem() == "it is bad"
    path.unlink()
    clock.now += 1
    with pytest.raises(FileNotFoundError):  # only UnusableFileError is handled
        watched.get()
    path.write_text("three")
    clock.now += 1
    assert watched.get() == "three"
    assert watched.problem() == ""
    assert reads == ["one", "second", "a bad one", "three"]


def test_the_first_read_must_succeed(tmp_path: Path):
    with pytest.raises(UnusableFileError):
        Tls(TlsFiles(tmp_path / "a", tmp_path / "b"))

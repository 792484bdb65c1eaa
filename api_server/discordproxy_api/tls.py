"""TLS certificates of the worker's ports: read from files, validated, reloaded on change.

`cryptography` is imported when a certificate is read: without TLS, its 9 MB are not needed.
"""

import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc

from discordproxy_ratelimit.process.reloading import ReloadedValue, UnusableFileError, grants, read_file

if TYPE_CHECKING:
    from cryptography import x509

log = logging.getLogger("discordproxy_api.tls")

CERT, KEY, CLIENT_CA = "DISCORDPROXY_TLS_CERT", "DISCORDPROXY_TLS_KEY", "DISCORDPROXY_TLS_CLIENT_CA"
WARN_BEFORE = timedelta(days=14)
WARN_EVERY = timedelta(days=1)
_READABLE_BY_ALL = 0o004


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Paths of the PEM files: certificate with chain, private key, CA certificates for client certificates."""

    cert: Path
    key: Path
    client_ca: Path | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files."""
        return (self.cert, self.key, *([self.client_ca] if self.client_ca else []))


@dataclass(frozen=True, slots=True)
class Certificates:
    """Validated certificates.

    Attributes:
        expires_at: expiry of the server's certificate.
        for_grpc: gRPC's certificate configuration.
        for_http: context of the standard library; it requests no client certificates.
    """

    expires_at: datetime
    for_grpc: Any = field(repr=False)
    for_http: ssl.SSLContext = field(repr=False)


class Tls:
    """The current certificates.

    Raises:
        UnusableFileError: a file is invalid.
    """

    def __init__(self, files: TlsFiles, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._reloaded = ReloadedValue(files.paths, lambda: read_certificates(files, now()))
        self._path, self._now = files.cert, now
        self._warn_at = datetime.min.replace(tzinfo=UTC)
        self._requires_client_certificates = files.client_ca is not None
        self._served: Certificates | None = None

    @property
    def current(self) -> Certificates:
        """The newest valid certificates."""
        certificates = self._reloaded.get()
        self._warn(certificates.expires_at)
        return certificates

    def problem(self) -> str:
        """Return the problem of new files or the near expiry of the current certificate, "" if there is none."""
        return self._reloaded.problem() or _expiry(self._reloaded.get().expires_at, self._path, self._now())

    def _warn(self, expires_at: datetime) -> None:
        """Log a near expiry once a day: the process may run for months."""
        if (now := self._now()) >= self._warn_at and (text := _expiry(expires_at, self._path, now)):
            self._warn_at = now + WARN_EVERY
            log.warning("%s", text)

    def expires_at(self) -> float:
        """Return the expiry of the current certificate in Unix time."""
        return self.current.expires_at.timestamp()

    def for_grpc(self) -> grpc.ServerCredentials:
        """Return credentials that use changed files from the next handshake on; open connections continue."""
        return grpc.dynamic_ssl_server_credentials(
            self.current.for_grpc, self._fetch, self._requires_client_certificates
        )

    def for_http(self) -> ssl.SSLContext:
        """Return an SSL context that uses changed files from the next handshake on."""

        def use_current(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
            connection.context = self.current.for_http

        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.sni_callback = use_current
        return context

    def _fetch(self) -> Any:
        """Return the certificates if they have changed since the last handshake. gRPC calls this in its own thread."""
        newest = self.current
        if newest is self._served:
            return None
        self._served = newest
        return newest.for_grpc


def read_certificates(files: TlsFiles, now: datetime) -> Certificates:
    """Read and validate the files.

    Raises:
        UnusableFileError: a file is unreadable or invalid, the key does not match, or the certificate is not valid now.
    """
    chain, key = read_file(files.cert, CERT), read_file(files.key, KEY)
    certificate = _certificates(chain, CERT, files.cert)[0]
    _check_key(key, certificate, files)
    _check_time(certificate, files.cert, now)
    roots = None
    if files.client_ca is not None:
        roots = read_file(files.client_ca, CLIENT_CA)
        _certificates(roots, CLIENT_CA, files.client_ca)
    return Certificates(
        expires_at=certificate.not_valid_after_utc,
        for_grpc=grpc.ssl_server_certificate_configuration([(key, chain)], root_certificates=roots),
        for_http=_context(files),
    )


def _certificates(pem: bytes, setting: str, path: Path) -> list["x509.Certificate"]:
    from cryptography import x509  # noqa: PLC0415 - see the module's docstring

    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise UnusableFileError(f"{setting}: {str(path)!r} contains no certificate; a PEM file is required") from None


def _check_key(pem: bytes, certificate: "x509.Certificate", files: TlsFiles) -> None:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - see the module's docstring
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - same

    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except TypeError:
        raise UnusableFileError(f"{KEY}: {str(files.key)!r} is encrypted; use a key without passphrase") from None
    except (ValueError, UnsupportedAlgorithm):
        raise UnusableFileError(f"{KEY}: {str(files.key)!r} contains no private key; a PEM file is required") from None
    form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    if key.public_key().public_bytes(*form) != certificate.public_key().public_bytes(*form):
        raise UnusableFileError(
            f"{KEY}: {str(files.key)!r} does not belong to the certificate in {str(files.cert)!r} ({CERT}); "
            "the server's certificate must come first in that file"
        )
    if grants(files.key, _READABLE_BY_ALL):
        log.warning("%s can be read by all users of this machine: chmod 600 %s", KEY, files.key)


def _check_time(certificate: "x509.Certificate", path: Path, now: datetime) -> None:
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now > ends:
        raise UnusableFileError(
            f"{CERT}: the certificate in {str(path)!r} expired on {ends:%Y-%m-%d %H:%M} UTC; renew it"
        )
    if now < begins:
        raise UnusableFileError(
            f"{CERT}: the certificate in {str(path)!r} is valid only from {begins:%Y-%m-%d %H:%M} UTC on; "
            "check this machine's clock"
        )


def _expiry(expires_at: datetime, path: Path, now: datetime) -> str:
    """Return one line about a certificate that has expired or soon does, "" for others."""
    if expires_at - now >= WARN_BEFORE:
        return ""
    expires = "expires" if now <= expires_at else "expired"
    return (
        f"{CERT}: the certificate read from {str(path)!r} {expires} on {expires_at:%Y-%m-%d %H:%M} UTC; renew the file"
    )


def _context(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(files.cert, files.key)
    except (OSError, ssl.SSLError) as error:
        raise UnusableFileError(f"{CERT}: {str(files.cert)!r} is unusable ({type(error).__name__})") from None
    return context

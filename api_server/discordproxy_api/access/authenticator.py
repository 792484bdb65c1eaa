"""Authenticates callers by API key or client certificate, for gRPC and the HTTP port.

Without a key file every caller is accepted.
"""

import base64
import binascii
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from discordproxy_api.access.keys import FORM, KeyRing
from discordproxy_api.access.lockout import Lockout, address_of
from discordproxy_api.access.log_budget import LogBudget
from discordproxy_api.calls import errors
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.calls.principal import APP_NAME, DEFAULT_APP, Principal
from discordproxy_ratelimit.process.reloading import ReloadedValue

log = logging.getLogger("discordproxy_api.access")

LOCKED_OUT = "LOCKED_OUT"
"""Reason of refusals after too many wrong keys from one address."""

HOW = 'send "authorization: Bearer <key>" (api_key of the Python client, or DISCORDPROXY_API_KEY)'


@dataclass(slots=True)  # not frozen: that makes its creation five times as slow
class Credentials:
    """Credentials and name that a caller sends. Never changed.

    Attributes:
        authorization: value of the header, "" if absent.
        app: name that the caller sends.
        peer: address in gRPC's form.
        certificate: names in the verified client certificate, empty without one.
    """

    authorization: str = ""
    app: str = ""
    peer: str = ""
    certificate: tuple[str, ...] = ()


class Authenticator:
    """Maps credentials to principals.

    Args:
        keys: the current keys; None if no key is required.
        wall_clock: returns the current time, for the expiry of keys.
    """

    def __init__(
        self,
        keys: ReloadedValue[KeyRing] | None,
        metrics: Metrics,
        *,
        lockout: Lockout | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._keys = keys
        self._metrics = metrics
        self._lockout = lockout or Lockout()
        self._clock = clock
        self._wall_clock = wall_clock
        self._lines = LogBudget()

    @property
    def requires_keys(self) -> bool:
        """Whether callers need a key or a certificate with an entry in the key file."""
        return self._keys is not None

    def admit(self, shown: Credentials) -> Principal:
        """Return the principal of a caller.

        Raises:
            ApiError: UNAUTHENTICATED.
        """
        if self._keys is None:
            return _principal_without_key(_own_name(shown))
        key, found = key_in(shown.authorization), self._holder(shown)
        if found is not None and not self._expired(found):
            return found
        if found is not None:
            raise _refused(f"The key {found.key} of {found.app} expired; create a new one.")
        if not key:
            raise _refused(f"This proxy requires a key: {HOW}.")
        raise self._wrong_key(shown.peer, key)

    def allowed(self, headers: Mapping[str, str], peer: str = "") -> Principal | None:
        """Return the principal of an HTTP request if it may see metrics and status page, else None.

        Args:
            headers: of the request, in any case. A browser may send the key as password.
            peer: IP address of the client.
        """
        authorization = next((value for name, value in headers.items() if name.lower() == "authorization"), "")
        try:
            found = self.admit(
                Credentials(authorization, peer=f"ipv4:{peer}:0" if ":" not in peer else f"ipv6:[{peer}]:0")
            )
        except ApiError:
            return None
        return found if found.status else None

    def problem(self) -> str:
        """Return why the present content of the key file is not in use, "" if it is or there is none."""
        return "" if self._keys is None else self._keys.problem()

    def still_admits(self, shown: Credentials, principal: Principal) -> bool:
        """Return whether the credentials still belong to the same principal."""
        return self._holder(shown) == principal and not self._expired(principal)

    def _holder(self, shown: Credentials) -> Principal | None:
        assert self._keys is not None, "keys are required"  # noqa: S101 - for the reader
        ring, key = self._keys.get(), key_in(shown.authorization)
        return ring.holder_of(key) if key else ring.holder_of_certificate(shown.certificate)

    def _expired(self, principal: Principal) -> bool:
        return principal.expires_at is not None and principal.expires_at <= self._wall_clock()

    def _wrong_key(self, peer: str, key: str) -> ApiError:
        address, now = address_of(peer), self._clock()
        self._metrics.wrong_keys.inc()
        locked_now, may_log = self._lockout.add_wrong_key(address, now), self._lines.count_line(now) is not None
        if locked_now and may_log:
            log.warning(
                "too many wrong keys from %s: address locked out for five minutes; valid keys are still accepted",
                address,
            )
        left_s = self._lockout.left_s(address, now)
        if left_s:
            text = "Too many wrong keys from this address; a valid key is still accepted."
            return errors.refusal("UNAUTHENTICATED", LOCKED_OUT, text, retry_after_s=left_s)
        if may_log:
            log.info("wrong key from %s", address)
        if FORM.fullmatch(key):
            return _refused("The key that was sent is unknown; it may have been replaced.")
        return _refused("The key that was sent is not a key of Discord Proxy.")


def key_in(authorization: str) -> str:
    """Return the key of an Authorization header: a bearer token or the password of basic authentication; else ""."""
    scheme, _, value = authorization.strip().partition(" ")
    value = value.strip()
    if scheme.lower() == "bearer":
        return value
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return value
    return ""


def certificate_names(context: Mapping[str, Iterable[bytes]]) -> tuple[str, ...]:
    """Return the names in the client certificate of gRPC's auth context."""
    fields = ("x509_subject_alternative_name", "x509_common_name")
    return tuple(name.decode("utf-8", "replace") for each in fields for name in context.get(each, ()))


def _own_name(shown: Credentials) -> str:
    """Return the application's name if no keys are required: from its certificate, else the one it sends."""
    for name in shown.certificate:
        if APP_NAME.fullmatch(name):
            return name
    return shown.app if APP_NAME.fullmatch(shown.app) else DEFAULT_APP


@lru_cache(maxsize=1000)
def _principal_without_key(app: str) -> Principal:
    return Principal(app=app)


def _refused(text: str) -> ApiError:
    return errors.refusal("UNAUTHENTICATED", "UNAUTHENTICATED", text)

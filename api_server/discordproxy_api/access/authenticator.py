"""Says who calls: by key, by certificate, or nobody in particular where the operator asks for neither.

The same answer serves gRPC and the HTTP port.
"""

import base64
import binascii
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from grpc import StatusCode

from discordproxy_api.access.keys import FORM, KeyRing
from discordproxy_api.access.lockout import Lockout, address_of
from discordproxy_api.calls import errors
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.calls.log_budget import LogBudget
from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.calls.principal import APP_NAME, DEFAULT_APP, Principal
from discordproxy_ratelimit.process.reloading import ReloadedValue

log = logging.getLogger("discordproxy_api.access")

LOCKED_OUT = "LOCKED_OUT"
"""Reason of the refusal for an address that has sent many wrong keys."""

HOW = 'send "authorization: Bearer <key>" (api_key of the Python client, or DISCORDPROXY_API_KEY)'


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a caller shows.

    Attributes:
        authorization: the header, "" without one.
        app: the name the caller gives itself.
        peer: its address, in gRPC's form.
        certificate: names in its checked certificate, empty without one.
    """

    authorization: str = ""
    app: str = ""
    peer: str = ""
    certificate: tuple[str, ...] = ()


class Authenticator:
    """Who may come in.

    Args:
        keys: the keys in force; None asks nobody for one.
        wall_clock: keys may expire.
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
        self._lockout = Lockout() if lockout is None else lockout  # an empty one is false
        self._clock = clock
        self._wall_clock = wall_clock
        self._lines = LogBudget()

    @property
    def asks_for_keys(self) -> bool:
        """Whether callers need a key."""
        return self._keys is not None

    def admit(self, shown: Credentials) -> Principal:
        """Return who calls.

        Raises:
            ApiError: UNAUTHENTICATED.
        """
        if self._keys is None:
            return Principal(app=_own_name(shown))
        key, found = key_in(shown.authorization), self._holder(shown)
        if found is not None and not self._expired(found):
            return found
        if found is not None:
            raise _refused(f"The key {found.key} of {found.app} expired; its holder needs a new one.")
        if not key:
            raise _refused(f"This proxy asks for a key: {HOW}.")
        raise self._wrong_key(shown.peer, key)

    def allowed(self, headers: Mapping[str, str], peer: str = "") -> Principal | None:
        """Return who may see metrics and status page, None if this request may not.

        Args:
            headers: of an HTTP request, by any spelling of their names. A browser may give the key as its password.
            peer: address of the other end.
        """
        authorization = next((value for name, value in headers.items() if name.lower() == "authorization"), "")
        try:
            found = self.admit(
                Credentials(authorization, peer=f"ipv4:{peer}:0" if ":" not in peer else f"ipv6:[{peer}]:0")
            )
        except ApiError:
            return None
        return found if found.status else None

    def still_admits(self, shown: Credentials, principal: Principal) -> bool:
        """Tell whether who was admitted with a key would be admitted again, and as the same."""
        return self._holder(shown) == principal and not self._expired(principal)

    def _holder(self, shown: Credentials) -> Principal | None:
        assert self._keys is not None, "asked for when keys are"  # noqa: S101 - for the reader
        ring, key = self._keys.get(), key_in(shown.authorization)
        return ring.holder_of(key) if key else ring.holder_of_certificate(shown.certificate)

    def _expired(self, principal: Principal) -> bool:
        return principal.expires_at is not None and principal.expires_at <= self._wall_clock()

    def _wrong_key(self, peer: str, key: str) -> ApiError:
        address, now = address_of(peer), self._clock()
        self._metrics.wrong_keys.inc()
        locked_now, may_log = self._lockout.wrong(address, now), self._lines.take(now) is not None
        if locked_now and may_log:
            log.warning("many wrong keys from %s: the address is locked out for a while, but for good keys", address)
        left_s = self._lockout.left_s(address, now)
        if left_s:
            text = "Too many wrong keys came from this address; a good one still works."
            return errors.refusal(StatusCode.UNAUTHENTICATED, LOCKED_OUT, text, retry_after_s=left_s)
        if may_log:
            log.info("a wrong key from %s", address)
        hint = "is not known here; it may have been replaced" if FORM.fullmatch(key) else "is no key of Discord Proxy"
        return _refused(f"What was sent as key {hint}.")


def key_in(authorization: str) -> str:
    """Return the key of an Authorization header: a bearer's, or the password of basic authentication; else ""."""
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
    """Return the names of the caller's certificate out of gRPC's auth context."""
    fields = ("x509_subject_alternative_name", "x509_common_name")
    return tuple(name.decode("utf-8", "replace") for each in fields for name in context.get(each, ()))


def _own_name(shown: Credentials) -> str:
    """Return an application's name without keys: its certificate's, else the one it gives itself."""
    names = (*shown.certificate, shown.app)
    return next((name for name in names if APP_NAME.fullmatch(name)), DEFAULT_APP)


def _refused(text: str) -> ApiError:
    return errors.refusal(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED", text)

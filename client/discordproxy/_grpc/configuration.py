"""What a client is told, and where it looks for the rest: arguments first, then the environment, then defaults."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import grpc

from discordproxy._grpc.calling_app import calling_app
from discordproxy._grpc.channel import DEFAULT_TARGET, Endpoint, resolve_target
from discordproxy._grpc.connection_errors import connection_problem
from discordproxy._requests.checks import convert, header_text, items, seconds, trimmed, whole_number
from discordproxy.exceptions import DiscordProxyGrpcError, never_left

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import TypeVar

    Self = TypeVar("Self", bound="Configuration")

    Options = Sequence[tuple[str, Any]]
    Tls = bool | str | os.PathLike[str] | grpc.ChannelCredentials

DEFAULT_RETRIES = 3


class Configuration:
    """How a client reaches the proxy; the part both clients share.

    Args:
        target: Address of the proxy, `unix:/path`, a DNS name, or several addresses, as a list or separated by commas;
            calls are spread over what a name or a list stands for. A list holds IP addresses or unix sockets.
            Default: the environment variable DISCORDPROXY_TARGET, else localhost:50051.
        options: gRPC channel options, pairs of name and value.
        timeout: Seconds for each call, waiting for rate limits included; None or 0 for no deadline.
        api_key: For a proxy that wants one. Default: the environment variable DISCORDPROXY_API_KEY.
        tls: True to encrypt and trust the system's certificates, a path of the CA certificates to trust instead, or
            credentials of gRPC. Default: the path in the environment variable DISCORDPROXY_CA, else no encryption.
            A proxy that asks for a certificate is shown the one in the file DISCORDPROXY_CERT (a path, too), whose key
            is in DISCORDPROXY_CERT_KEY; credentials of gRPC bring their own.
        app: Name of the application, for fair shares, metrics and logs of the proxy; "" for none. Default: the
            environment variable DISCORDPROXY_APP ("off" for none), else the top-level package that makes the client.
        retries: How often a call is repeated at most, where that is harmless and the proxy has not done it: the
            connection was refused, or the proxy refused the call untried, or the connection broke and the call only
            reads, has a nonce (new messages always do) or an idempotency_key. 0 switches repetitions off.

    Raises:
        ValueError: targets that cannot be used together, a name or key that cannot travel in a header, or a certificate
            without its key.
    """

    def __init__(
        self,
        target: str | Iterable[str] | None = None,
        options: Options | None = None,
        timeout: float | None = None,
        *,
        api_key: str | None = None,
        tls: Tls | None = None,
        app: str | None = None,
        retries: int = DEFAULT_RETRIES,
    ) -> None:
        self._target = _target_text(target or _environment("DISCORDPROXY_TARGET") or DEFAULT_TARGET)
        self._options = options
        _channel_options(options)
        self._timeout = timeout
        seconds("timeout", timeout)
        self._retries = whole_number("retries", retries) or 0
        self._tls = _trust(tls)
        self._certificate = _certificate() if self._tls else None
        resolve_target(self._target)  # a target that cannot work is told here, not by the first call
        if app is None:
            app = configured_app()
        name = calling_app() if app is None else app
        self._metadata = _metadata(api_key or _environment("DISCORDPROXY_API_KEY"), name)
        self._closed = False

    @property
    def target(self) -> str:
        """Where the calls go."""
        return self._target

    @property
    def options(self) -> Options | None:
        """The gRPC channel options that were given."""
        return self._options

    @property
    def timeout(self) -> float | None:
        """Seconds for each call; None when there is no deadline."""
        return self._timeout

    def __repr__(self) -> str:
        return f"{type(self).__name__}(target={self._target!r}, timeout={self._timeout!r})"

    def _add_hint(self, error: Exception) -> None:
        """Say in an error why there is no connection."""
        if isinstance(error, DiscordProxyGrpcError) and never_left(error.status, error.details):
            problem = connection_problem(self._target, error.details, tls=bool(self._tls))
            error.hint = f"{problem.text}. {problem.fix}"

    def _endpoint(self) -> Endpoint:
        """Return where to connect to.

        Raises:
            RuntimeError: the client was closed.
        """
        if self._closed:
            raise RuntimeError(f"{self!r} is closed: make a new client")
        tls = os.fspath(self._tls) if isinstance(self._tls, os.PathLike) else self._tls
        return Endpoint(self._target, _channel_options(self._options), tls, self._certificate)


def _environment(name: str) -> str:
    """Return what the environment says, without what files and secret stores leave around it."""
    return trimmed(os.environ.get(name, ""))


def configured_app() -> str | None:
    """Return the name that the environment gives to applications: "" for none, None if it says nothing about it."""
    name = _environment("DISCORDPROXY_APP")
    return "" if name.lower() == "off" else name or None


def _target_text(target: str | Iterable[str]) -> str:
    several = isinstance(target, (list, tuple, set, frozenset))
    text = ",".join(map(str, target)) if several else trimmed(str(target))
    convert("target", str.encode, text)
    return text


def _channel_options(options: Options | Mapping[str, Any] | None) -> tuple[tuple[str, Any], ...]:
    """Return the pairs of name and value.

    Raises:
        ValueError: something is no pair.
    """
    pairs = options.items() if isinstance(options, Mapping) else items("options", options or ())
    return tuple((str(name), value) for name, value in (convert("options", _pair, pair) for pair in pairs))


def _pair(option: Any) -> tuple[Any, Any]:
    name, value = option
    return name, value


def _trust(tls: Tls | None) -> Tls:
    if tls is None:
        return _environment("DISCORDPROXY_CA") or False
    if not isinstance(tls, (bool, str, os.PathLike, grpc.ChannelCredentials)):
        raise ValueError(f"tls: True, a path or gRPC's credentials are needed, not {type(tls).__name__}")  # noqa: TRY004 -- one kind of error for all wrong arguments
    return tls


def _certificate() -> tuple[str, str] | None:
    """Return the paths of the client's own certificate and its key."""
    certificate, key = _environment("DISCORDPROXY_CERT"), _environment("DISCORDPROXY_CERT_KEY")
    if bool(certificate) != bool(key):
        raise ValueError("DISCORDPROXY_CERT and DISCORDPROXY_CERT_KEY are needed together: a certificate and its key")
    return (certificate, key) if certificate and key else None


def _metadata(api_key: str | None, app: str | None) -> tuple[tuple[str, str], ...]:
    """Return what is sent with every call.

    Raises:
        ValueError: a name or key that cannot travel in a header. The key itself is not shown.
    """
    metadata = []
    if api_key and (key := header_text("api_key", api_key)):
        metadata.append(("authorization", f"Bearer {key}"))
    if app and (name := header_text("app", app)):
        metadata.append(("x-discordproxy-app", name))
    return tuple(metadata)

"""The configuration of a client: arguments first, then environment variables, then defaults."""

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
    """The configuration of a client, shared by DiscordClient and AsyncDiscordClient.

    Args:
        target: Address of the proxy: `host:port`, `unix:/path`, or several addresses as a list or separated by commas.
            Calls are balanced over the addresses of a DNS name or list. A list contains IP addresses or unix sockets.
            Default: the environment variable DISCORDPROXY_TARGET, then localhost:50051.
        options: gRPC channel options as (name, value) pairs; they override the client's own.
        timeout: Seconds for each call, including waits for rate limits. None or 0: no deadline.
        api_key: API key of the application. Default: the environment variable DISCORDPROXY_API_KEY.
        tls: True: TLS with the system's CA certificates. A path: TLS with these CA certificates. Or gRPC's channel
            credentials. Default: the path in the environment variable DISCORDPROXY_CA, then no TLS. The environment
            variables DISCORDPROXY_CERT and DISCORDPROXY_CERT_KEY are the paths of a client certificate and its key;
            they do not apply to credentials.
        app: Name of the application, for fair shares, metrics and logs of the proxy; "" for none. Default: the
            environment variable DISCORDPROXY_APP ("off" for none), then the top-level package that creates the client.
        retries: Maximum number of retries of a call; 0 disables them. A call is retried if no connection was made, if
            the proxy refused it before trying it, or if the connection broke and a repetition is harmless: the call
            only reads, or has a nonce (as new messages do) or an idempotency_key.

    Raises:
        ValueError: an argument or environment variable is invalid; the error names it.
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
        resolve_target(self._target)  # an invalid target fails here, not in the first call
        if app is None:
            app = configured_app()
        name = calling_app() if app is None else app
        self._metadata = _metadata(api_key or _environment("DISCORDPROXY_API_KEY"), name)
        self._closed = False

    @property
    def target(self) -> str:
        """Address of the proxy."""
        return self._target

    @property
    def options(self) -> Options | None:
        """The gRPC channel options of the constructor."""
        return self._options

    @property
    def timeout(self) -> float | None:
        """Seconds for each call; None: no deadline."""
        return self._timeout

    def __repr__(self) -> str:
        return f"{type(self).__name__}(target={self._target!r}, timeout={self._timeout!r})"

    def _add_hint(self, error: Exception) -> None:
        """Set the hint of an error without connection: the cause and the fix."""
        if isinstance(error, DiscordProxyGrpcError) and never_left(error.status, error.details):
            problem = connection_problem(self._target, error.details, tls=bool(self._tls))
            error.hint = f"{problem.text}. {problem.fix}"

    def _endpoint(self) -> Endpoint:
        """Return the endpoint to connect to.

        Raises:
            RuntimeError: the client is closed.
        """
        if self._closed:
            raise RuntimeError(f"{self!r} is closed: create a new client")
        tls = os.fspath(self._tls) if isinstance(self._tls, os.PathLike) else self._tls
        return Endpoint(self._target, _channel_options(self._options), tls, self._certificate)


def _environment(name: str) -> str:
    """Return an environment variable without surrounding whitespace and invisible marks; "" if it is not set."""
    return trimmed(os.environ.get(name, ""))


def configured_app() -> str | None:
    """Return the name of the application in DISCORDPROXY_APP: "" if it is "off", None if it is not set."""
    name = _environment("DISCORDPROXY_APP")
    return "" if name.lower() == "off" else name or None


def _target_text(target: str | Iterable[str]) -> str:
    is_list = isinstance(target, (list, tuple, set, frozenset))
    text = ",".join(map(str, target)) if is_list else trimmed(str(target))
    convert("target", str.encode, text)
    return text


def _channel_options(options: Options | Mapping[str, Any] | None) -> tuple[tuple[str, Any], ...]:
    """Return the options as (name, value) pairs.

    Raises:
        ValueError: an option is not a pair.
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
        raise ValueError(f"tls: must be a bool, a path or gRPC's channel credentials, not {type(tls).__name__}")  # noqa: TRY004 -- ValueError for every invalid argument
    return tls


def _certificate() -> tuple[str, str] | None:
    """Return the paths of the client certificate and its key from the environment; None if they are not set."""
    certificate, key = _environment("DISCORDPROXY_CERT"), _environment("DISCORDPROXY_CERT_KEY")
    if bool(certificate) != bool(key):
        raise ValueError(
            "DISCORDPROXY_CERT and DISCORDPROXY_CERT_KEY: set both, the paths of a certificate and its key"
        )
    return (certificate, key) if certificate and key else None


def _metadata(api_key: str | None, app: str | None) -> tuple[tuple[str, str], ...]:
    """Return the gRPC metadata of every call.

    Raises:
        ValueError: the key or name is not printable ASCII. The error does not contain the key.
    """
    metadata = []
    if api_key and (key := header_text("api_key", api_key)):
        metadata.append(("authorization", f"Bearer {key}"))
    if app and (name := header_text("app", app)):
        metadata.append(("x-discordproxy-app", name))
    return tuple(metadata)

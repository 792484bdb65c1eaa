"""From a Redis or Valkey URL to a client that never repeats a command by itself, and to a text that hides the password.

Knows nothing of scripts, keys or buckets.
"""

import asyncio
from urllib.parse import SplitResult, urlsplit

from redis.asyncio import ConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError
from redis.retry import Retry

from discordproxy_ratelimit.errors import BrokerUnavailable

SCHEMES = {"redis": "redis", "rediss": "rediss", "unix": "unix", "valkey": "redis", "valkeys": "rediss"}
"""Accepted scheme -> the scheme the client library knows for it."""

LOGIN_REFUSED = "refused the login; check user and password in DISCORDPROXY_REDIS_URL"

FORMS = "redis://host:port/db, rediss:// (TLS), valkey://, valkeys:// (TLS) or unix:///path/to.sock"


def connect(url: str, *, timeout_s: float = 1.0) -> Redis:
    """Return a client for `url` without opening a connection yet.

    A lost reply is never followed by a silent second attempt: the command may have run, and charging a limit twice is
    for the caller to judge. Replies are bytes. Options in the URL's query win over the defaults here.

    Args:
        url: one of `FORMS`, with user, %-encoded password and options in the URL.
        timeout_s: bound of connecting and of one reply, in seconds. A blocking command needs its own client with a
            longer one.

    Raises:
        ValueError: the URL has another form; the text names the accepted ones and never the password.
    """
    check(url)
    return Redis.from_url(
        _library_url(url),
        retry=Retry(NoBackoff(), 0),
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        protocol=2,  # nothing here needs RESP3, and without HELLO one round trip per connection is saved
    )


def check(url: str) -> None:
    """Raise ValueError unless `url` has one of the accepted forms and options the library knows."""
    _check_form(url)
    try:
        pool = ConnectionPool.from_url(_library_url(url))
        pool.connection_class(**pool.connection_kwargs)  # opens nothing
    except (ValueError, TypeError, RedisError) as error:  # the library's text may quote the URL: only its kind is told
        raise ValueError(f"the Redis URL {describe(url)} has an unfit option ({type(error).__name__})") from None


def _library_url(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{SCHEMES[scheme.lower()]}://{rest}"


def _check_form(url: str) -> None:
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.lower() not in SCHEMES:
        raise ValueError(f"a Redis URL is one of {FORMS}; Sentinel and Cluster URLs are not supported")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError("the Redis URL has no readable host and port; %-encode special characters in it") from None
    if scheme.lower() == "unix":
        if not parts.path.startswith("/"):
            raise ValueError("a unix Redis URL needs an absolute path: unix:///path/to.sock")
    elif not parts.hostname or "@" in parts.path + parts.query + parts.fragment:
        raise ValueError(f"the Redis URL has no host, or a password with special characters (%-encode it): {FORMS}")
    elif parts.path.strip("/") and not parts.path.strip("/").isdigit():
        raise ValueError("the path of a Redis URL is a database number: redis://host:port/0")
    elif rest.partition("#")[1]:
        raise ValueError("a Redis URL has no '#'; %-encode it as %23 inside a password")


def describe(url: str) -> str:
    """Return `url` for logs and errors: scheme, host, port and database; user, password and options masked."""
    try:
        _check_form(url)
    except ValueError:
        return "the configured Redis URL"
    parts = urlsplit(url)
    return f"unix://{parts.path}" if parts.scheme == "unix" else f"{parts.scheme}://{_location(parts)}{parts.path}"


async def stop(task: asyncio.Task[None]) -> None:
    """Cancel a task that talks to Redis and wait for its end.

    Before Python 3.12 the client library's `wait_for` loses a cancellation that comes just as a command was written.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=0.1)
    if not task.cancelled():
        task.exception()  # it is over: nobody wants to know any more


async def wait_for(url: str, *, within_s: float) -> None:
    """Return once the server of `url` answers PING.

    Raises:
        BrokerUnavailable: it did not within `within_s` seconds, or refused the login.
        ValueError: as `connect`.
    """
    client = connect(url)
    try:
        async with asyncio.timeout(within_s):
            while True:
                try:
                    await client.execute_command("PING")  # type: ignore[no-untyped-call] # raw commands have no types
                except (RedisError, OSError) as error:
                    if login_refused(error):
                        raise _unavailable(url, LOGIN_REFUSED) from None
                else:
                    return
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise _unavailable(url, f"did not answer for {within_s:g} s; start it or set DISCORDPROXY_REDIS_URL") from None
    finally:
        await client.aclose()


def login_refused(error: BaseException) -> bool:
    """Tell whether a client's error means a wrong user or password; the library may wrap that into another one."""
    kinds = (AuthenticationError, NoPermissionError)
    return isinstance(error, kinds) or isinstance(error.__cause__, kinds)


def _unavailable(url: str, happened: str) -> BrokerUnavailable:
    return BrokerUnavailable(f"Redis at {describe(url)} {happened}")


def is_remote(url: str) -> bool:
    """Tell whether the server of `url` is neither on a unix socket nor on the loopback interface."""
    host = urlsplit(url).hostname or "localhost"
    return not url.lower().startswith("unix:") and host not in {"localhost", "::1"} and not host.startswith("127.")


def is_encrypted(url: str) -> bool:
    """Tell whether `url` asks for TLS."""
    return SCHEMES.get(url.partition("://")[0].lower()) == "rediss"


def _location(parts: SplitResult) -> str:
    credentials = "***@" if parts.username or parts.password else ""
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{credentials}{host}:{parts.port or 6379}"

"""Parses Redis and Valkey URLs: one server, a master known to Sentinels, or a Cluster. Pure.

    redis://user:password@host:port/db             unix:///path/to.sock
    redis+sentinel://user:password@host:port,host:port/master-name/db
    redis+cluster://user:password@host:port,host:port

`rediss` instead of `redis` requires TLS for all servers; `valkey` and `valkeys` are synonyms. Options in the query are
those of the client library (`ssl_ca_certs`, `socket_timeout`, ...), and for Sentinels with a login of their own
`sentinel_username` and `sentinel_password`.
"""

from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import SplitResult, parse_qs, urlsplit, urlunsplit

from redis.asyncio import ConnectionPool, SSLConnection
from redis.asyncio.connection import parse_url
from redis.exceptions import RedisError

SCHEMES = {"redis": "redis", "rediss": "rediss", "unix": "unix", "valkey": "redis", "valkeys": "rediss"}
"""Accepted scheme -> scheme of the client library."""

FORMS = (
    "redis://host:port/db, rediss:// (TLS), valkey://, valkeys:// (TLS), unix:///path/to.sock, "
    "redis+sentinel://host:port,host:port/master-name or redis+cluster://host:port,host:port"
)

_SENTINEL_PORT, _PORT = 26379, 6379
_SENTINEL_LOGIN = {"sentinel_username": "username", "sentinel_password": "password"}


@dataclass(frozen=True, slots=True)
class Target:
    """The target of a URL.

    Attributes:
        topology: how the servers are found.
        encrypted: whether TLS is used.
        hosts: host and port of each server or Sentinel in the URL; none for a unix socket.
        path: of a unix socket.
        master: name of the master at the Sentinels.
        db: number of the database.
        has_login: whether the URL has a user or password.
        library_url: for one server: the URL for the client library, with the password.
        options: for several servers: keyword arguments of the library.
        sentinel_options: differing arguments for the Sentinels.
    """

    topology: Literal["server", "sentinel", "cluster"]
    encrypted: bool
    hosts: tuple[tuple[str, int], ...]
    path: str = ""
    master: str = ""
    db: int = 0
    has_login: bool = False
    library_url: str = field(default="", repr=False)
    options: dict[str, Any] = field(default_factory=dict, repr=False)
    sentinel_options: dict[str, Any] = field(default_factory=dict, repr=False)


def parse(url: str) -> Target:
    """Return the target of `url`.

    Raises:
        ValueError: the form or an option is invalid; the text never contains the password.
    """
    full, separator, rest = url.partition("://")
    scheme, _, topology = full.lower().partition("+")
    if not separator or scheme not in SCHEMES or topology not in {"", "sentinel", "cluster"}:
        raise ValueError(f"a Redis URL is one of {FORMS}")
    if "#" in rest:
        raise ValueError("a Redis URL has no '#'; %-encode it as %23 inside a password")
    library = SCHEMES[scheme]
    if library == "unix":
        if topology:
            raise ValueError("Sentinels and Clusters are reached over the network, not by a unix Redis URL")
        return _of_socket(f"unix://{rest}")
    parts = urlsplit(f"{library}://{rest}")
    if "@" in parts.path + parts.query:
        raise ValueError(f"the Redis URL has a password with special characters (%-encode it): {FORMS}")
    if topology:
        return _of_several(parts, sentinel=topology == "sentinel")
    return _of_server(parts)


def check(url: str) -> None:
    """Raise ValueError if the form or an option of `url` is invalid."""
    parse(url)


def describe(url: str) -> str:
    """Return `url` for logs and errors: scheme, hosts, database or master, without login and options."""
    try:
        target = parse(url)
    except ValueError:
        return "the configured Redis URL"
    if target.path:
        return f"unix://{target.path}"
    scheme = url.partition("://")[0].lower()
    hosts = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in target.hosts)
    path = f"/{target.master}" * bool(target.master) + f"/{target.db}" * bool(target.db)
    return f"{scheme}://{'***@' * target.has_login}{hosts}{path}"


def is_remote(url: str) -> bool:
    """Return whether a server of `url` is neither on a unix socket nor on the loopback interface."""
    return any(host not in {"localhost", "::1"} and not host.startswith("127.") for host, _ in parse(url).hosts)


def is_encrypted(url: str) -> bool:
    """Return whether `url` requires TLS."""
    return parse(url).encrypted


def _of_socket(url: str) -> Target:
    parts = urlsplit(url)
    if not parts.path.startswith("/"):
        raise ValueError("a unix Redis URL needs an absolute path: unix:///path/to.sock")
    return Target("server", encrypted=False, hosts=(), path=parts.path, library_url=_checked(url))


def _of_server(parts: SplitResult) -> Target:
    login, location = _split_login(parts)
    if "," in location:
        raise ValueError("several hosts need a Redis URL that begins with redis+sentinel:// or redis+cluster://")
    hosts = (_host(location, _PORT),)
    path = parts.path.strip("/")
    if path and not path.isdigit():
        raise ValueError("the path of a Redis URL is a database number: redis://host:port/0")
    return Target(
        "server",
        encrypted=parts.scheme == "rediss",
        hosts=hosts,
        db=int(path or 0),
        has_login=bool(login),
        library_url=_checked(urlunsplit(parts)),
    )


def _of_several(parts: SplitResult, *, sentinel: bool) -> Target:
    login, locations = _split_login(parts)
    hosts = tuple(_host(location, _SENTINEL_PORT if sentinel else _PORT) for location in locations.split(","))
    master, db = _master_and_db(parts.path) if sentinel else ("", _no_db(parts.path))
    query = "&".join(part for part in parts.query.split("&") if part.partition("=")[0] not in _SENTINEL_LOGIN)
    # The library parses login and options with a single host; it gets the hosts separately.
    options = _options(urlunsplit((parts.scheme, f"{login}@h" if login else "h", f"/{db}" * sentinel, query, "")))
    own = {name: values[0] for name, values in parse_qs(parts.query).items() if name in _SENTINEL_LOGIN}
    return Target(
        "sentinel" if sentinel else "cluster",
        encrypted=parts.scheme == "rediss",
        hosts=hosts,
        master=master,
        db=db,
        has_login=bool(login or own),
        options=options,
        sentinel_options={_SENTINEL_LOGIN[name]: value for name, value in own.items()},
    )


def _split_login(parts: SplitResult) -> tuple[str, str]:
    login, _, location = parts.netloc.rpartition("@")
    return login, location


def _host(location: str, port: int) -> tuple[str, int]:
    try:
        one = urlsplit(f"//{location}")
        host, given = one.hostname, one.port
    except ValueError:
        raise ValueError("the Redis URL has no readable host and port; %-encode special characters in it") from None
    if not host:
        raise ValueError(f"the Redis URL has no host, or a password with special characters (%-encode it): {FORMS}")
    return host, given or port


def _master_and_db(path: str) -> tuple[str, int]:
    master, _, db = path.strip("/").partition("/")
    if not master or (db and not db.isdigit()):
        raise ValueError("a Sentinel's Redis URL ends with the master's name: redis+sentinel://host:port/mymaster")
    return master, int(db or 0)


def _no_db(path: str) -> int:
    if path.strip("/") not in {"", "0"}:
        raise ValueError("a Cluster has one database; leave the path of its Redis URL out")
    return 0


def _options(url: str) -> dict[str, Any]:
    """Return a connection's login, database and options as the library's keyword arguments.

    Raises:
        ValueError: an option is not the library's.
    """
    options: dict[str, Any] = dict(parse_url(_checked(url)))
    del options["host"]
    if issubclass(options.pop("connection_class", object), SSLConnection):
        options["ssl"] = True
    return options


def _checked(url: str) -> str:
    try:
        pool = ConnectionPool.from_url(url)
        pool.connection_class(driver_info=None, **pool.connection_kwargs)  # opens no connection
    except (
        ValueError,
        TypeError,
        RedisError,
    ) as error:  # the library's text may quote the URL, so only the kind is shown
        raise ValueError(f"the Redis URL has an invalid option ({type(error).__name__})") from None
    return url

"""The scopes of a key: RPCs, routes, guilds and channels, events, priority. Pure."""

from collections.abc import Collection
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from discordproxy_api.route_patterns import route_matches

READ, WRITE = "read", "write"
REQUEST = "Request"
PRIORITIES = ("low", "normal", "high")
ALL_COMMANDS = ("*",)


@dataclass(frozen=True, slots=True)
class Scopes:
    """The limits of a key; the default has none.

    Attributes:
        rpcs: names or patterns of RPCs, `read` (all that change nothing) or `write`; None allows all.
        requests: routes of RPC `Request`, "GET /guilds/{guild_id}/audit-logs", or patterns; None leaves it to `rpcs`,
            where only its own name or a pattern matches it, since it can reach everything.
        guilds: guilds that the key may access. With neither guilds nor channels it may access all.
        channels: channels that it may access, with their threads, or with the channels of a category.
        direct_messages: whether it may write to users; None: if it may access everything.
        authorization: whether its `Request` may contain an authorization other than the bot's token; None: if the key
            has no other limits.
        events: names of events it may subscribe to; None allows all.
        commands: names or patterns of application commands that it may own. The application then changes no others,
            also by `Request` and the REST port; None does not interfere with these.
        priority: the highest one its calls can have.
        unrestricted: whether no call with this key needs a check of its targets.
    """

    rpcs: tuple[str, ...] | None = None
    requests: tuple[str, ...] | None = None
    guilds: frozenset[int] = frozenset()
    channels: frozenset[int] = frozenset()
    direct_messages: bool | None = None
    authorization: bool | None = None
    events: frozenset[str] | None = None
    commands: tuple[str, ...] | None = None
    priority: str = "high"
    unrestricted: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Compute once the value that every call reads."""
        unrestricted = self.unlimited and self.may_write_to_users and self.may_authorize
        object.__setattr__(self, "unrestricted", unrestricted)  # the class is frozen

    def __str__(self) -> str:
        """Return one line of text for operators."""
        parts = ["all calls" if self.rpcs is None else f"calls {', '.join(self.rpcs) or 'none'}"]
        parts += [f"requests {', '.join(self.requests) or 'none'}"] if self.requests is not None else []
        parts += [f"guilds {', '.join(map(str, sorted(self.guilds)))}"] if self.guilds else []
        parts += [f"channels {', '.join(map(str, sorted(self.channels)))}"] if self.channels else []
        parts += ["everywhere"] if self.everywhere else []
        parts += ["direct messages" if self.may_write_to_users else "no direct messages"]
        parts += ["authorizations of its own"] if self.may_authorize else []
        parts += [f"events {', '.join(sorted(self.events)) or 'none'}"] if self.events is not None else []
        parts += [f"own commands {', '.join(self.commands)}"] if self.commands is not None else []
        return "; ".join([*parts, f"priority up to {self.priority}"])

    @property
    def everywhere(self) -> bool:
        """Whether the key may access all guilds and channels."""
        return not (self.guilds or self.channels)

    @property
    def unlimited(self) -> bool:
        """Whether the key may call everything and access everything."""
        return self.everywhere and self.rpcs is None and self.requests is None and self.commands in {None, ALL_COMMANDS}

    @property
    def may_write_to_users(self) -> bool:
        """Whether direct messages are allowed."""
        return self.everywhere if self.direct_messages is None else self.direct_messages

    @property
    def may_authorize(self) -> bool:
        """Whether `Request` may contain an authorization of its own; its invalid answers count for this address."""
        return self.unlimited if self.authorization is None else self.authorization

    def allows_rpc(self, name: str, *, reads: bool) -> bool:
        """Return whether an RPC may be called."""
        if name == REQUEST and self.requests is not None:
            return bool(self.requests)
        if self.rpcs is None:
            return True
        kind = READ if reads else WRITE
        return any(fnmatchcase(name, pattern) or (pattern == kind and name != REQUEST) for pattern in self.rpcs)

    def allows_route(self, route: str) -> bool:
        """Return whether `Request` may use a route, "METHOD /template"."""
        return self.requests is None or any(route_matches(route, pattern) for pattern in self.requests)

    def allows_as_request(self, route: str) -> bool:
        """Return whether a route that has an RPC may be used as the RPC `Request`; always False without a route."""
        return bool(route) and self.allows_rpc(REQUEST, reads=False) and self.allows_route(route)

    def allows_command(self, name: str) -> bool:
        """Return whether the application may own a command of this name."""
        return self.commands is None or any(fnmatchcase(name, pattern) for pattern in self.commands)

    def cap_priority(self, priority: str) -> str:
        """Return the requested priority, or the highest one of the key if that is lower."""
        return priority if self.priority == PRIORITIES[-1] else min(priority, self.priority, key=PRIORITIES.index)

    def forbidden_events(self, types: Collection[str]) -> list[str]:
        """Return the names among `types` that may not be subscribed to."""
        return [] if self.events is None else sorted(set(types) - self.events)

"""Input and output of a resource's handler: an authorized and validated request, and Discord's response."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from multidict import MultiMapping

from discordproxy_sandbox.access import CredentialKind
from discordproxy_sandbox.errors import invalid_form
from discordproxy_sandbox.ledger import Ledger
from discordproxy_sandbox.messages.uploads import Upload
from discordproxy_sandbox.messages.validation import Check, failure
from discordproxy_sandbox.world.world import World


@dataclass(slots=True, kw_only=True)
class ApiRequest:
    """A request: path parameters, query, JSON body, files."""

    method: str
    template: str
    params: Mapping[str, str]
    query: MultiMapping[str]
    body: Any
    uploads: list[Upload]
    reason: str
    world: World
    ledger: Ledger
    now: float

    def __getitem__(self, name: str) -> str:
        """Return a path parameter."""
        return self.params[name]

    def number(self, name: str, default: int, minimum: int, maximum: int) -> int:
        """Return an integer of the query string; out of bounds is an invalid form."""
        text = self.query.get(name)
        if text is None:
            return default
        if not text.isascii() or not text.isdigit():
            raise invalid_form({name: failure("NUMBER_TYPE_COERCE", f'Value "{text}" is not int.')})
        if not minimum <= int(text) <= maximum:
            bound, what = (maximum, "less") if int(text) > maximum else (minimum, "greater")
            code = "NUMBER_TYPE_MAX" if what == "less" else "NUMBER_TYPE_MIN"
            raise invalid_form({name: failure(code, f"int value should be {what} than or equal to {bound}.")})
        return int(text)

    def snowflake(self, name: str) -> int | None:
        """Return an id of the query string."""
        text = self.query.get(name)
        if text is None:
            return None
        if not text.isascii() or not text.isdigit():
            raise invalid_form({name: failure("NUMBER_TYPE_COERCE", f'Value "{text}" is not snowflake.')})
        return int(text)

    def query_list(self, name: str) -> list[str]:
        """Return the values of a list in the query string: repeated, or separated by commas."""
        return [value for text in self.query.getall(name, ()) for value in text.split(",")]

    @property
    def path(self) -> str:
        """The path with its parameters."""
        return self.template.format_map(self.params)

    def flag(self, name: str) -> bool:
        """Return a boolean of the query string."""
        return self.query.get(name, "false").lower() in {"true", "1"}


@dataclass(frozen=True, slots=True)
class ApiAnswer:
    """A response other than 200 with JSON; `content` None is an empty body, bytes are sent unchanged."""

    status: int = 200
    content: Any = None
    content_type: str = "application/json"


Handler = Callable[[ApiRequest], Any]
Auth = Literal["bot", "path", "optional", "any", "bearer"]
_ACCEPTED: dict[Auth, tuple[CredentialKind, ...]] = {
    "bot": ("bot",),
    "any": ("bot", "bearer"),
    "bearer": ("bearer",),
    "path": ("bot", "bearer", "none"),
    "optional": ("bot", "bearer", "none"),
}


@dataclass(frozen=True, slots=True)
class ApiRoute:
    """The handler of a route, which returns JSON, an ApiAnswer, or None for 204.

    `auth`: the accepted credentials: "bot"; "any" (a bot or an OAuth2 bearer); "bearer"; "path" (a token in the path
    authorizes); "optional" (public, with or without a caller).
    """

    handler: Handler
    body: Check | None = None
    files: bool = False
    auth: Auth = "bot"
    exempt: bool = False  # from the global limit

    def accepts(self, kind: CredentialKind) -> bool:
        """Return whether a caller with this kind of credential may use the route."""
        return kind in _ACCEPTED[self.auth]


Routes = dict[str, ApiRoute]

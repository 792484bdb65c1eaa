"""The gateway worker's settings; read by `__main__` only."""

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_settings import NoDecode
from typing_extensions import Self

from discordproxy_gateway.discord.intents import BITS, DEFAULT
from discordproxy_gateway.ids import MAX_SHARDS
from discordproxy_gateway.options import GatewayOptions
from discordproxy_ratelimit.settings import SharedSettings


def _split(value: Any) -> Any:
    return tuple(part for part in value.replace(",", " ").split() if part) if isinstance(value, str) else value


def _known(names: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [name for name in names if name not in BITS]
    if unknown:
        raise ValueError(f"unknown intent {', '.join(unknown)!r}; known are {', '.join(BITS)}")
    if "guilds" not in names:
        raise ValueError("the intent guilds must be in the list: without it Discord sends no events about guilds")
    return names


def _shards(value: Any) -> Any:
    return 0 if isinstance(value, str) and value.strip().lower() == "auto" else value


class GatewaySettings(SharedSettings):
    """What the gateway worker needs beyond the shared settings."""

    intents: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split), AfterValidator(_known)] = Field(
        DEFAULT,
        description="names of gateway intents, separated by commas; members, presences and message_content must "
        "be switched on for the bot on the developer portal first",
    )
    shards: Annotated[int, BeforeValidator(_shards)] = Field(
        0, ge=0, le=MAX_SHARDS, description="number of gateway connections; auto or 0: Discord's recommendation"
    )
    gateway_lease: float = Field(
        10.0, ge=0.5, le=300, description="seconds until a standby replaces a gateway worker that does not respond"
    )
    identify_floor: int = Field(
        50,
        ge=0,
        le=1000,
        description="new sessions per day that are kept in reserve: Discord resets the token of a "
        "bot that uses all of them",
    )
    event_retention: int = Field(900, ge=60, le=86400, description="seconds for which events are kept for subscribers")
    event_limit: int = Field(
        200_000, ge=1000, le=10_000_000, description="maximum number of events that are kept for subscribers, per shard"
    )
    auto_defer: float = Field(
        0.0,
        ge=0,
        le=2.5,
        description="seconds after which an unanswered interaction is deferred; 0: never",
    )
    auto_defer_private: bool = Field(
        True,  # noqa: FBT003 - the value of a setting
        description="whether a deferred answer is visible to its user only; this cannot be changed later",
    )

    @model_validator(mode="after")
    def _check_own_intents(self) -> Self:
        if self.chosen.intents is not None:
            try:
                _known(self.chosen.intents)
            except ValueError as error:
                raise ValueError(f"DISCORDPROXY_BOTS: bot {self.chosen.name}: {error}") from None
        return self

    @property
    def own_intents(self) -> tuple[str, ...]:
        """The intents of this process's bot: of its entry among several bots, else of the setting."""
        return self.intents if self.chosen.intents is None else self.chosen.intents

    def options(self, *, force: bool) -> GatewayOptions:
        """Return the settings as the worker's options; `force` is the command line's."""
        return GatewayOptions(
            rest_url=self.discord_url,
            gateway_url=self.gateway_url,
            intents=self.own_intents,
            shards=self.shards,
            lease_s=self.gateway_lease,
            identify_floor=self.identify_floor,
            retention_s=self.event_retention,
            max_events=self.event_limit,
            defer_after_s=self.auto_defer,
            defer_privately=self.auto_defer_private,
            force=force,
        )

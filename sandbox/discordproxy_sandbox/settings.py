"""Settings of the command, from SANDBOX_* variables; flags win over them."""

import argparse
from collections.abc import Callable
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from discordproxy_sandbox.ledger import Record
from discordproxy_sandbox.sandbox import SandboxConfig


class Settings(BaseSettings):
    """Every setting with its default; seconds where the name ends in _s."""

    model_config = SettingsConfigDict(env_prefix="SANDBOX_")

    host: str = "127.0.0.1"
    port: int = Field(4099, ge=0, le=65535)
    token: SecretStr | None = Field(None, description="the only bot token accepted; any is, without it")
    kind: Literal["fixed", "leaky"] | None = Field(None, description="one kind for all buckets")
    global_limit: int = Field(50, ge=1, description="requests per second over all routes")
    global_model: Literal["aligned", "first_request", "sliding", "gcra"] = "sliding"
    latency_s: float = Field(0.0, ge=0, description="round trip to this Discord")
    jitter_s: float = Field(0.0, ge=0, description="latency varies by up to this, both ways")
    strict: bool = Field(default=False, description="refuse unknown JSON keys instead of noting them")
    guilds: int = Field(0, ge=0, description="more guilds, for load tests")
    members: int = Field(0, ge=0, description="members in each of those guilds")
    verbose: bool = Field(default=False, description="print one line per request")

    def config(self, log: Callable[[Record], None] | None = None) -> SandboxConfig:
        """Return the sandbox's configuration; `log` is called with every request's record."""
        return SandboxConfig(
            host=self.host,
            port=self.port,
            token=self.token.get_secret_value() if self.token else None,
            kind=self.kind,
            global_limit=self.global_limit,
            global_model=self.global_model,
            latency_s=self.latency_s,
            jitter_s=self.jitter_s,
            strict=self.strict,
            log=log or (lambda _: None),
        )


def read_settings(arguments: list[str]) -> Settings:
    """Return the settings of a command line. The token comes from the environment only: arguments are public."""
    parser = argparse.ArgumentParser("discordproxy sandbox", description="A local Discord, stricter than Discord.")
    for name, field in Settings.model_fields.items():
        if name == "token":
            continue
        flag, text = f"--{name.replace('_', '-')}", f"{field.description or name} [SANDBOX_{name.upper()}]"
        if field.annotation is bool:
            parser.add_argument(flag, action="store_true", default=None, help=text)
        else:
            parser.add_argument(flag, metavar=name.upper(), help=f"{text} (default {field.default})")
    given = {name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None}
    return Settings(**given)

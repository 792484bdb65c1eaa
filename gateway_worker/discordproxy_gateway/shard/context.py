"""The context that all shards of a process share: clients, key names, options, and connection advice."""

from dataclasses import dataclass

from discordproxy_gateway.discord.bot_client import BotClient
from discordproxy_gateway.keys import Keys, Slot
from discordproxy_gateway.options import GatewayOptions
from discordproxy_gateway.store.scripts import Scripts
from discordproxy_gateway.store.session_store import SessionStore


@dataclass(frozen=True, slots=True)
class ShardContext:
    """Shared by all shards, terms and connections of a process.

    Attributes:
        fingerprint: of token, intents and shard count; a session with another one is not resumed.
        gateway_url: address for new sessions.
        max_concurrency: Discord's number of IDENTIFY groups.
        identify_floor: number of IDENTIFYs a day that stay unused; None uses all.
    """

    bot: BotClient
    scripts: Scripts
    keys: Keys
    store: SessionStore
    options: GatewayOptions
    fingerprint: str
    gateway_url: str
    max_concurrency: int
    identify_floor: int | None

    def identify_group(self, slot: Slot) -> int:
        """Return the number of the group whose shards send IDENTIFY one after the other (Discord: max_concurrency)."""
        return slot.shard_id % self.max_concurrency

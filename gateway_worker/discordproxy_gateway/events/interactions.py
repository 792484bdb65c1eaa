"""Who gives the first response to an interaction: the application, or the gateway worker when time runs out."""

from redis.asyncio import Redis

from discordproxy_gateway.keys import Keys

TOKEN_LIFE_S = 15 * 60
"""How long the token of an interaction is good for (Discord: receiving and responding)."""

APPLICATION = "application"
DEFERRED = "deferred"


class Interactions:
    """One record per interaction decides, so that Discord gets exactly one first response."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    async def claim(self, interaction_id: int | str, who: str) -> str | None:
        """Claim the first response for `who`; None when it is theirs, else the name of who was earlier.

        An application that finds DEFERRED edits the original response instead.
        """
        key = self._keys.interaction(interaction_id)
        earlier = await self._redis.set(key, who, nx=True, get=True, ex=TOKEN_LIFE_S)
        return earlier.decode() if isinstance(earlier, bytes) else None

    async def give_back(self, interaction_id: int | str) -> None:
        """Let others answer: Discord did not take the response that was claimed."""
        await self._redis.delete(self._keys.interaction(interaction_id))

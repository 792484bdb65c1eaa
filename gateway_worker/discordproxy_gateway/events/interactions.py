"""Decides who sends the first response to an interaction: an application or the gateway worker."""

from dataclasses import dataclass, replace

from redis.asyncio import Redis

from discordproxy_gateway.events.errors import redis_errors
from discordproxy_gateway.keys import Keys

TOKEN_LIFE_S = 15 * 60
"""How long the token of an interaction is good for (Discord: receiving and responding)."""

_APPLICATION = "application"
_DEFERRING, _DEFERRED = "deferring", "deferred"


@dataclass(frozen=True, slots=True)
class Deferral:
    """A deferral by the gateway worker.

    Attributes:
        response_type: Discord's number of the response it gives: 5 for a message later, 6 for an update later.
        application_id: whose webhook the real answer goes to.
        given: Discord has accepted the response; only then it can be edited.
    """

    response_type: int
    application_id: str
    given: bool = False

    def __str__(self) -> str:
        return f"{_DEFERRED if self.given else _DEFERRING} {self.response_type} {self.application_id}"

    @classmethod
    def parse(cls, text: str) -> "Deferral":
        """Read what `str` has written."""
        state, response_type, application_id = text.split(" ")
        return cls(int(response_type), application_id, given=state == _DEFERRED)


class Interactions:
    """One record per interaction decides, so that Discord receives exactly one first response.

    Every method raises EventsUnavailableError while Redis is unavailable.
    """

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    async def claim_response(self, interaction_id: int | str) -> Deferral | None:
        """Claim the first response for an application; returns a deferral if the gateway worker was first."""
        earlier = await self._claim(interaction_id, _APPLICATION)
        try:
            return None if earlier in {None, _APPLICATION} else Deferral.parse(str(earlier))
        except ValueError:  # written by another release; Discord detects a second response
            return None

    async def defer(self, interaction_id: int | str, deferral: Deferral) -> bool:
        """Claim the first response for the gateway worker; False if it was claimed before."""
        return await self._claim(interaction_id, str(deferral)) is None

    async def confirm_deferral(self, interaction_id: int | str, deferral: Deferral) -> None:
        """Record that Discord accepted the deferral."""
        with redis_errors():
            await self._redis.set(self._key(interaction_id), str(replace(deferral, given=True)), xx=True, keepttl=True)

    async def release(self, interaction_id: int | str) -> None:
        """Release a claim: Discord did not accept the response."""
        with redis_errors():
            await self._redis.delete(self._key(interaction_id))

    async def _claim(self, interaction_id: int | str, claimant: str) -> str | None:
        """Return None if the claim is granted, else the earlier claim."""
        with redis_errors():
            earlier = await self._redis.set(self._key(interaction_id), claimant, nx=True, get=True, ex=TOKEN_LIFE_S)
        return earlier.decode() if isinstance(earlier, bytes) else None

    def _key(self, interaction_id: int | str) -> str:
        return self._keys.interaction(interaction_id)

"""Small facts that all workers share, each for a while: a DM channel's id, the first result of an idempotency key."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Literal, NamedTuple

from discordproxy_ratelimit.errors import BrokerError
from discordproxy_ratelimit.redis.link import RedisLink, Script

CLAIM = Script("claims")


class Claim(NamedTuple):
    """What became of a claim.

    Attributes:
        state: `ours` (go on and settle it), `pending` (somebody else is at it), `settled` (see `result`), `other` (the
            key was used with another request) or `full` (the application keeps as much as it may).
        result: what was settled.
    """

    state: Literal["ours", "pending", "settled", "other", "full"]
    result: bytes = b""


class ClaimQuota(NamedTuple):
    """Whose claims are counted, so that they cannot fill the server.

    Attributes:
        app: name of the application.
        most_bytes: what its keys and results may take.
        kept_s: how long results are kept.
    """

    app: str
    most_bytes: int
    kept_s: float


class Claims:
    """Keys below one hash tag.

    Args:
        link: connection to Redis.
        tag: prefix with the hash tag, e.g. `{dp:1234}:note:`.
    """

    def __init__(self, link: RedisLink, tag: str) -> None:
        self._link, self._tag = link, tag

    async def set(self, key: str, value: bytes, *, ttl_s: float) -> None:
        """Keep a value. Raises BrokerUnavailable."""
        with self._link.trace("redis set"):
            await self._link.execute("SET", self._tag + key, value, "PX", int(ttl_s * 1000))

    async def get(self, key: str) -> bytes | None:
        """Return a kept value, None when there is none. Raises BrokerUnavailable."""
        with self._link.trace("redis get"):
            value: bytes | None = await self._link.execute("GET", self._tag + key)
        return value

    async def claim(
        self, key: str, request: str, *, owner: str, lease_s: float, keeper: ClaimQuota | None = None
    ) -> Claim:
        """Say that this call is the first of its key, or learn what the first one is doing.

        Args:
            key: the caller's idempotency key, already made unique per method.
            request: fingerprint of the request; the same key with another one is `other`.
            owner: this call; claiming again with it renews the lease.
            lease_s: after this time without a renewal another call may claim the key, or learns what `leave` noted.
            keeper: whose key it is; None does not count it.
        """
        with self._link.trace("redis claim"):
            return await self._run(key, ["claim", request, owner, int(lease_s * 1000), b""], keeper)

    @asynccontextmanager
    async def hold(self, key: str, request: str, *, owner: str, lease_s: float) -> AsyncIterator[None]:
        """Renew the claim of `owner` for as long as the block runs.

        Settle or release after it: a renewal that comes after a release would claim the key again.
        """
        renewal = asyncio.create_task(self._renew(key, request, owner, lease_s))
        try:
            yield
        finally:
            renewal.cancel()

    async def _renew(self, key: str, request: str, owner: str, lease_s: float) -> None:
        while True:
            await asyncio.sleep(lease_s / 3)
            with suppress(BrokerError):  # there is time for another try before the lease ends
                await self.claim(key, request, owner=owner, lease_s=lease_s)

    async def leave(self, key: str, request: str, *, owner: str, result: bytes, lease_s: float, ttl_s: float) -> Claim:
        """Note what others find should this call not live to settle its key; until then they see it pending.

        Anything but `ours` means that the lease ended meanwhile and the key is somebody else's. Raises
        BrokerUnavailable.
        """
        return await self._run(key, ["leave", request, owner, int(lease_s * 1000), result, int(ttl_s * 1000)])

    async def settle(
        self, key: str, request: str, *, owner: str, result: bytes, ttl_s: float, keeper: ClaimQuota | None = None
    ) -> None:
        """Keep the result of a claimed key. Raises BrokerUnavailable."""
        with self._link.trace("redis settle"):
            await self._run(key, ["settle", request, owner, int(ttl_s * 1000), result], keeper)

    async def release(self, key: str, *, owner: str, keeper: ClaimQuota | None = None) -> None:
        """Give a claim back: nothing was done. Raises BrokerUnavailable."""
        await self._run(key, ["release", "", owner, 0, b""], keeper)

    async def _run(self, key: str, arguments: list[Any], keeper: ClaimQuota | None = None) -> Claim:
        keys = [f"{self._tag}once:{key}"]
        if keeper is not None:
            keys.append(f"{self._tag}kept:{keeper.app}")
            arguments += [0] * (6 - len(arguments)) + [max(24, int(keeper.kept_s * 1000)), keeper.most_bytes]
        reply = await self._link.run(CLAIM, keys, arguments)
        return Claim(reply[0].decode(), reply[1])

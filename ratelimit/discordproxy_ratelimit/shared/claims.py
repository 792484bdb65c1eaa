"""Claims and values that all workers share for a limited time, such as results of idempotency keys."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Literal, NamedTuple

from discordproxy_ratelimit.errors import BrokerError
from discordproxy_ratelimit.redis.link import RedisLink, Script

CLAIM = Script("claims")


class Claim(NamedTuple):
    """The state of a claim.

    Attributes:
        state: `ours` (the caller must complete it), `pending` (another call holds it), `settled` (see `result`),
            `other` (the key was used with another request) or `full` (the application's quota is used up).
        result: of the call that completed it.
    """

    state: Literal["ours", "pending", "settled", "other", "full"]
    result: bytes = b""


class ClaimQuota(NamedTuple):
    """The application whose claims are counted, so that they cannot fill the server.

    Attributes:
        app: name of the application.
        max_bytes: limit of its keys and results.
        kept_s: how long results are kept.
    """

    app: str
    max_bytes: int
    kept_s: float


class Claims:
    """Claims and values below one hash tag.

    Args:
        link: connection to Redis.
        tag: prefix with the hash tag, e.g. `{dp:1234}:note:`.
    """

    def __init__(self, link: RedisLink, tag: str) -> None:
        self._link, self._tag = link, tag

    async def set(self, key: str, value: bytes, *, ttl_s: float) -> None:
        """Store a value for a time. Raises BrokerUnavailableError."""
        with self._link.trace("redis set"):
            await self._link.execute("SET", self._tag + key, value, "PX", int(ttl_s * 1000))

    async def get(self, key: str) -> bytes | None:
        """Return a stored value or None. Raises BrokerUnavailableError."""
        with self._link.trace("redis get"):
            value: bytes | None = await self._link.execute("GET", self._tag + key)
        return value

    def begin_get(self, key: str) -> asyncio.Future[bytes | None]:
        """Start to read a stored value, beside the next commands; `finish_get` awaits it. It may be cancelled."""
        return self._link.begin("GET", self._tag + key)

    async def finish_get(self, value: asyncio.Future[bytes | None]) -> bytes | None:
        """Return a value that `begin_get` reads, None if there is none. Raises BrokerUnavailableError."""
        found: bytes | None = await self._link.finish(value)
        return found

    async def claim(
        self, key: str, request: str, *, owner: str, lease_s: float, keeper: ClaimQuota | None = None
    ) -> Claim:
        """Claim a key for this call, or return the state of the first call's claim. A cancelled call claims nothing.

        Args:
            key: the caller's idempotency key, already made unique per method.
            request: fingerprint of the request; the same key with another one is `other`.
            owner: this call; another claim with it renews the lease.
            lease_s: seconds without a renewal after which another call may claim the key, or gets the result in doubt.
            keeper: the application whose quota counts the key; None = not counted.
        """
        try:
            return await self._claim(key, request, owner=owner, lease_s=lease_s, keeper=keeper)
        except asyncio.CancelledError:
            with suppress(BrokerError):  # it then expires
                # Redis may have granted it although the reply was not received.
                await asyncio.shield(self.release(key, owner=owner, keeper=keeper))
            raise

    async def _claim(
        self, key: str, request: str, *, owner: str, lease_s: float, keeper: ClaimQuota | None = None
    ) -> Claim:
        with self._link.trace("redis claim"):
            return await self._run(key, ["claim", request, owner, int(lease_s * 1000), b""], keeper)

    @asynccontextmanager
    async def hold(self, key: str, request: str, *, owner: str, lease_s: float) -> AsyncIterator[None]:
        """Renew the claim of `owner` while the block runs.

        Complete or release it after the block: a renewal after a release would claim the key again.
        """
        renewal = asyncio.create_task(self._renew(key, request, owner, lease_s))
        try:
            yield
        finally:
            renewal.cancel()

    async def _renew(self, key: str, request: str, owner: str, lease_s: float) -> None:
        while True:
            await asyncio.sleep(lease_s / 3)
            with suppress(BrokerError):  # there is time for another attempt before the lease ends
                await self._claim(key, request, owner=owner, lease_s=lease_s)

    async def mark_in_doubt(
        self, key: str, request: str, *, owner: str, result: bytes, lease_s: float, ttl_s: float
    ) -> Claim:
        """Store the result that others get if this call ends without completing its key; until then it is pending.

        A state other than `ours` means that the lease has ended and another call holds the key. Raises
        BrokerUnavailableError.
        """
        return await self._run(key, ["leave", request, owner, int(lease_s * 1000), result, int(ttl_s * 1000)])

    async def complete(
        self, key: str, request: str, *, owner: str, result: bytes, ttl_s: float, keeper: ClaimQuota | None = None
    ) -> None:
        """Store the result of a claimed key. Raises BrokerUnavailableError."""
        with self._link.trace("redis settle"):
            await self._run(key, ["settle", request, owner, int(ttl_s * 1000), result], keeper)

    async def release(self, key: str, *, owner: str, keeper: ClaimQuota | None = None) -> None:
        """Release a claim without a result. Raises BrokerUnavailableError."""
        await self._run(key, ["release", "", owner, 0, b""], keeper)

    async def _run(self, key: str, arguments: list[Any], keeper: ClaimQuota | None = None) -> Claim:
        keys = [f"{self._tag}once:{key}"]
        if keeper is not None:
            keys.append(f"{self._tag}kept:{keeper.app}")
            arguments += [0] * (6 - len(arguments)) + [max(24, int(keeper.kept_s * 1000)), keeper.max_bytes]
        reply = await self._link.run(CLAIM, keys, arguments)
        return Claim(reply[0].decode(), reply[1])

"""The lease of a slot: only its holder may connect."""

import asyncio
import contextlib
import logging
import secrets

from redis.exceptions import RedisError

from discordproxy_gateway.discord.failures import LeaseLostError
from discordproxy_gateway.keys import ERAS_KEPT, Keys, Slot
from discordproxy_gateway.store.scripts import Scripts

log = logging.getLogger(__name__)

_MAX_SLEEP_S = 5.0
_MIN_SLEEP_MS = 20
_MARGIN = 0.1  # of the lease: the holder stops earlier than Redis forgets it


class Lease:
    """One term of leadership. `lost` is set, at the latest, a little before another worker can acquire it."""

    def __init__(
        self, scripts: Scripts, keys: Keys, slot: Slot, *, owner: str, fence: int, lease_s: float, era: int = 1
    ) -> None:
        self.fence = fence
        self.era = era
        self.slot = slot
        self.lost = asyncio.Event()
        self._scripts = scripts
        self._keys = keys
        self._owner = owner
        self._lease_s = lease_s
        self._held_until = 0.0

    def extend(self, sent_at: float) -> None:
        """Extend the lease from loop time `sent_at`, when the request that was granted was sent."""
        self._held_until = sent_at + self._lease_s * (1 - _MARGIN)

    def ensure_held(self) -> None:
        """Raise LeaseLostError unless the lease is held for certain by this process's monotonic clock."""
        if self.lost.is_set() or asyncio.get_running_loop().time() >= self._held_until:
            self.lost.set()
            raise LeaseLostError

    async def renew(self) -> None:
        """Renew the lease in Redis.

        Raises:
            LeaseLostError: another worker holds it, or Redis lost it.
            RedisError, OSError: the outcome is unknown; the lease runs on until `ensure_held` raises.
        """
        sent_at = asyncio.get_running_loop().time()
        keys = [self._keys.lease(self.slot), self._keys.division]
        if not await self._scripts.run("renew_lease", keys, [self._owner, _ms(self._lease_s), self.slot.shard_count]):
            self.lost.set()
            raise LeaseLostError
        self.extend(sent_at)

    async def keep(self) -> None:
        """Renew until the lease is lost; returns then."""
        while not self.lost.is_set():
            await asyncio.sleep(min(self._lease_s / 3, self._held_for_s()))
            try:
                self.ensure_held()
                await self.renew()
            except (RedisError, OSError) as error:
                log.warning("lease of shard %s not renewed: %s", self.slot, type(error).__name__)
            except LeaseLostError:
                log.warning(
                    "lease of shard %s lost: Redis is unavailable or lost it, or another worker leads", self.slot
                )

    def _held_for_s(self) -> float:
        return max(0.0, self._held_until - asyncio.get_running_loop().time())

    async def release(self) -> None:
        """Give the lease back and wake the standbys; without Redis it expires."""
        self.lost.set()
        keys = [self._keys.lease(self.slot), self._keys.lease_channel(self.slot)]
        with contextlib.suppress(RedisError, OSError):
            await self._scripts.run("release_lease", keys, [self._owner])


class LeaderElection:
    """Waits for the lease of one slot."""

    def __init__(self, scripts: Scripts, keys: Keys, slot: Slot, *, lease_s: float = 10.0) -> None:
        self._scripts = scripts
        self._keys = keys
        self.slot = slot
        self._lease_s = lease_s
        self._leaders_shards = ""  # the number of shards that the current leaders run

    async def acquire(self) -> Lease:
        """Return the lease once no other worker holds it. After a cancellation, one that was just granted expires."""
        owner = secrets.token_hex(8)  # a new name per term: an earlier lease of this process is not taken over
        logged = ""
        while True:
            lease, free_in_s = await self._try_acquire(owner)
            if lease is not None:
                return lease
            if logged != self._leaders_shards:
                logged = self._leaders_shards
                self._log_standby()
            await self._sleep(free_in_s)

    def _log_standby(self) -> None:
        if self._leaders_shards == str(self.slot.shard_count):
            log.info("standing by: another gateway worker holds shard %s", self.slot)
        else:
            log.error(
                "standing by: another gateway worker runs this bot with %s shards, or did a moment ago; this one is "
                "to run it with %d; set the same DISCORDPROXY_SHARDS for all, and stop the others before you change it",
                self._leaders_shards,
                self.slot.shard_count,
            )

    async def _try_acquire(self, owner: str) -> tuple[Lease | None, float]:
        sent_at = asyncio.get_running_loop().time()
        keys = [self._keys.lease(self.slot), self._keys.fence(self.slot), self._keys.division]
        keys += [self._keys.eras, self._keys.shard_count]
        arguments = [owner, _ms(self._lease_s), self.slot.shard_count, ERAS_KEPT]
        try:
            fence, ms, shards, *era = await self._scripts.run("acquire_lease", keys, arguments)
        except (RedisError, OSError) as error:
            log.warning("cannot request the lease of shard %s: %s", self.slot, type(error).__name__)
            return None, 1.0
        self._leaders_shards = shards.decode()
        if not fence:
            return None, max(ms, _MIN_SLEEP_MS) / 1000
        lease = Lease(self._scripts, self._keys, self.slot, owner=owner, fence=fence, lease_s=self._lease_s, era=era[0])
        lease.extend(sent_at)
        return lease, 0.0

    async def _sleep(self, free_in_s: float) -> None:
        """Wait until the holder announces its release, or its lease must have expired."""
        until = asyncio.get_running_loop().time() + min(free_in_s, _MAX_SLEEP_S)
        if self._leaders_shards != str(self.slot.shard_count):  # no message announces that all of them have left
            await asyncio.sleep(min(free_in_s, _MAX_SLEEP_S))
            return
        try:
            await self._await_release(until)
        except (RedisError, OSError):
            await asyncio.sleep(1.0)

    async def _await_release(self, until: float) -> None:
        async with self._scripts.redis.pubsub() as channel:
            await channel.subscribe(self._keys.lease_channel(self.slot))
            while (left_s := until - asyncio.get_running_loop().time()) > 0:
                message = await channel.get_message(timeout=left_s)
                if message is None or message["type"] == "message":
                    return
                # Subscribed. The holder may have released the lease before that.
                if not await self._scripts.redis.exists(self._keys.lease(self.slot)):
                    return


def _ms(seconds: float) -> int:
    return round(seconds * 1000)

"""Rates of applications, set by the operator and shared by all workers."""

from discordproxy_ratelimit.errors import WaitRefusedError
from discordproxy_ratelimit.redis.link import RedisLink, Script

SCRIPT = Script("app_rate")


class AppRate:
    """Reserves the next start time of an application.

    Args:
        link: connection to Redis.
        tag: prefix with the hash tag, e.g. `{dp:1234}:quota:`.
    """

    def __init__(self, link: RedisLink, tag: str) -> None:
        self._link, self._tag = link, tag

    async def reserve(self, app: str, *, per_s: float, max_wait_s: float) -> float:
        """Reserve the next start time of an application; return the seconds until then.

        After a pause, the calls of one second may start at once.

        Raises:
            WaitRefusedError: the wait would exceed `max_wait_s`; nothing was reserved.
            BrokerUnavailableError: Redis is unavailable.
        """
        interval_us = 1e6 / per_s
        burst_us = max(0.0, 1e6 - interval_us)
        arguments = [int(interval_us), int(burst_us), int(max(0.0, max_wait_s) * 1e6)]
        granted, wait_us = await self._link.run(SCRIPT, [self._tag + app], arguments)
        wait_s = int(wait_us) / 1e6
        if not granted:
            raise WaitRefusedError(
                f"The wait for the rate that {app} may call at would be too long", retry_after_s=wait_s
            )
        return wait_s

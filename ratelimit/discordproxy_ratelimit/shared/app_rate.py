"""Rates that the operator gives to single applications, kept for all workers together."""

from discordproxy_ratelimit.errors import WaitRefusedError
from discordproxy_ratelimit.redis.link import RedisLink, Script

QUOTA = Script("app_rate")


class AppRate:
    """Turns of applications.

    Args:
        link: connection to Redis.
        tag: prefix with the hash tag, e.g. `{dp:1234}:quota:`.
    """

    def __init__(self, link: RedisLink, tag: str) -> None:
        self._link, self._tag = link, tag

    async def take(self, app: str, *, per_s: float, patience_s: float) -> float:
        """Take the next turn of an application and return in how many seconds it comes.

        After a pause, as many calls as are due in one second may leave at once.

        Raises:
            WaitRefused: it would come later than in `patience_s`; no turn was taken.
            BrokerUnavailable: Redis does not answer.
        """
        interval_us = 1e6 / per_s
        made_up_us = max(0.0, 1e6 - interval_us)
        arguments = [int(interval_us), int(made_up_us), int(max(0.0, patience_s) * 1e6)]
        granted, wait_us = await self._link.run(QUOTA, [self._tag + app], arguments)
        wait_s = int(wait_us) / 1e6
        if not granted:
            raise WaitRefusedError(
                f"The wait for the rate that {app} may call at would be too long", retry_after_s=wait_s
            )
        return wait_s

"""The broker's work as a task of the supervisor, which saves a process."""

import signal

from discordproxy_api.processes.children import ChildExit
from discordproxy_ratelimit.process.exit_status import CONFIGURATION
from discordproxy_ratelimit.process.tasks import steadily
from discordproxy_ratelimit.server.embedded import EmbeddedError
from discordproxy_ratelimit.server.runner import BrokerRunner, StopRequest


class BrokerTask:
    """Runs the broker's work and restarts it after errors; supervised like a child process.

    Args:
        redis_url: the configured server; "" for the private one.
        token: determines the folder of the private server.
    """

    name = "broker"

    def __init__(self, redis_url: str, token: str) -> None:
        self._stop = StopRequest()
        self._runner = BrokerRunner(redis_url, token, self._stop)

    @property
    def pid(self) -> int | None:
        """Process id of the private server, None if there is none."""
        return self._runner.pid

    @property
    def starting(self) -> bool:
        """Whether the private server is being started."""
        return self._runner.starting

    async def run(self) -> ChildExit | None:
        """Run until `stop`. Return a final exit if no start of the private server can succeed."""
        try:
            await steadily(self._runner.run, "the broker", until_done=True, fatal=(EmbeddedError,))
        except EmbeddedError as error:
            return ChildExit(self.name, CONFIGURATION, f"ERROR: {error}")
        return None

    def stop(self, number: int = signal.SIGTERM) -> None:  # noqa: ARG002 - the signature of `Child`
        """Stop the server once its clients have disconnected; the second call does not wait for them."""
        self._stop.add()

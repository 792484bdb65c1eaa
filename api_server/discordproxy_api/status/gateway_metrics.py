"""The gateway workers' numbers as Prometheus metrics: read from Redis, so that every API worker shows the same ones."""

from collections.abc import Awaitable, Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from discordproxy_gateway.cache import GatewayState, ShardState

MAX_SHARDS = 100
"""Shards beyond have no series of their own."""

PREFIX = "discordproxy_gateway_"

_GAUGES: dict[str, tuple[str, Callable[[ShardState], float | None]]] = {
    "connected": ("1 while the connection is held and has its session", lambda s: s.held and s.state == "ready"),
    "leader": ("1 while a gateway worker holds the shard's lease", lambda s: s.held),
    "latency_seconds": ("Round trip of the last heartbeat", lambda s: _seconds(s.counters.get("latency_ms"))),
    "lag_seconds": ("Seconds since caches and events were known to be current", lambda s: s.age_s),
    "backlog": ("Events read from Discord and not stored yet", lambda s: s.counters.get("backlog")),
}
_COUNTERS: dict[str, tuple[str, str]] = {
    "events": ("Events of Discord that were stored", "events"),
    "bad_events": ("Events that could not be stored", "bad_events"),
    "identifies": ("New sessions", "identifies"),
    "resumes": ("Sessions that were resumed", "resumes"),
}
_OF_BOT: dict[str, tuple[str, Callable[[GatewayState], float | None]]] = {
    "shards": ("Connections of the bot", lambda state: len(state.shards)),
    "identifies_left": ("New sessions Discord still allows today", lambda state: state.identifies_left),
    "guilds": ("Servers in the cache", lambda state: state.guilds),
    "channels": ("Channels and threads in the cache", lambda state: state.channels),
}


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1000


class GatewayMetrics(Collector):
    """What was last known of each bot's gateway."""

    def __init__(self) -> None:
        self._states: dict[str, GatewayState] = {}

    def watch(self, bot: str, read: Callable[[], Awaitable[GatewayState]]) -> Callable[[], Awaitable[bool]]:
        """Return a probe that tells whether the bot's gateway is connected, and keeps what it sees for scrapes.

        Args:
            bot: its name, the label of its numbers.
            read: reads the state; raises when Redis is away.
        """

        async def probe() -> bool:
            try:
                self._states[bot] = state = await read()
            except BaseException:
                self._states.pop(bot, None)  # what cannot be read now is not shown
                raise
            return state.ready

        return probe

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        for name, (text, value_of_bot) in _OF_BOT.items():
            family = GaugeMetricFamily(PREFIX + name, text, labels=["bot"])
            for bot, state in list(self._states.items()):  # a scrape runs in a thread of its own
                _add(family, [bot], value_of_bot(state))
            yield family
        for name, (text, value_of) in _GAUGES.items():
            family = GaugeMetricFamily(PREFIX + name, text, labels=["bot", "shard"])
            for labels, shard in self._shards():
                _add(family, labels, value_of(shard))
            yield family
        for name, (text, field) in _COUNTERS.items():
            counter = CounterMetricFamily(PREFIX + name, text, labels=["bot", "shard"])
            for labels, shard in self._shards():
                counter.add_metric(labels, shard.counters.get(field, 0))
            yield counter

    def _shards(self) -> Iterator[tuple[list[str], ShardState]]:
        for bot, state in list(self._states.items()):
            for shard in state.shards[:MAX_SHARDS]:
                yield [bot, str(shard.slot.shard_id)], shard


def _add(family: GaugeMetricFamily, labels: list[str], value: float | None) -> None:
    if value is not None:
        family.add_metric(labels, float(value))

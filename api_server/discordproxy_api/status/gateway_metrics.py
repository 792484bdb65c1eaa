"""Prometheus metrics of the gateway workers, read from Redis and equal on all API workers."""

from collections.abc import Awaitable, Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from discordproxy_gateway.cache import GatewayState, ShardState

MAX_SHARDS = 100
"""Shards beyond are not exported."""

PREFIX = "discordproxy_gateway_"

_GAUGES: dict[str, tuple[str, Callable[[ShardState], float | None]]] = {
    "connected": ("1 while the connection has a session", lambda s: s.held and s.state == "ready"),
    "leader": ("1 while a gateway worker holds the shard's lease", lambda s: s.held),
    "latency_seconds": ("Round trip of the last heartbeat", lambda s: _seconds(s.counters.get("latency_ms"))),
    "lag_seconds": ("Seconds since caches and events were last current", lambda s: s.age_s),
    "backlog": ("Events received from Discord and not yet stored", lambda s: s.counters.get("backlog")),
}
_COUNTERS: dict[str, tuple[str, str]] = {
    "events": ("Events stored", "events"),
    "bad_events": ("Events that could not be stored", "bad_events"),
    "identifies": ("New sessions", "identifies"),
    "resumes": ("Resumed sessions", "resumes"),
}
_OF_BOT: dict[str, tuple[str, Callable[[GatewayState], float | None]]] = {
    "shards": ("Gateway connections of the bot", lambda state: len(state.shards)),
    "identifies_left": ("New sessions left today", lambda state: state.identifies_left),
    "guilds": ("Guilds in the cache", lambda state: state.guilds),
    "channels": ("Channels and threads in the cache", lambda state: state.channels),
}


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1000


class GatewayMetrics(Collector):
    """Exports the last known state of each bot's gateway."""

    def __init__(self) -> None:
        self._states: dict[str, GatewayState] = {}

    def watch(self, bot: str, read: Callable[[], Awaitable[GatewayState]]) -> Callable[[], Awaitable[bool]]:
        """Return a probe of the bot's gateway, which also keeps the state for scrapes.

        Args:
            bot: name of the bot, and value of the label.
            read: reads the state; raises if Redis does not answer.
        """

        async def probe() -> bool:
            try:
                self._states[bot] = state = await read()
            except BaseException:
                self._states.pop(bot, None)  # an outdated state is not exported
                raise
            return state.ready

        return probe

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        for name, (text, value_of_bot) in _OF_BOT.items():
            family = GaugeMetricFamily(PREFIX + name, text, labels=["bot"])
            for bot, state in list(self._states.items()):  # a scrape runs in another thread
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

"""Simulated network latency between a client and the sandbox."""

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Round trip `latency_s` +- `jitter_s` (uniform), of which `inbound_share` passes before the request arrives.

    Each direction takes `spike_s` longer with probability `spike_chance`.
    """

    latency_s: float = 0.0
    jitter_s: float = 0.0
    inbound_share: float = 0.5
    spike_chance: float = 0.0
    spike_s: float = 0.0

    def draw(self, random: Random) -> tuple[float, float]:
        """Return the seconds to the sandbox and back."""
        total = max(0.0, self.latency_s + random.uniform(-self.jitter_s, self.jitter_s))
        inbound = total * self.inbound_share
        return inbound + self._spike(random), total - inbound + self._spike(random)

    def _spike(self, random: Random) -> float:
        return self.spike_s if self.spike_chance and random.random() < self.spike_chance else 0.0

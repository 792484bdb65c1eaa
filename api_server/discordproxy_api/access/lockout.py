"""Counts wrong keys by the address they came from. Pure: time comes in; memory is bounded.

A good key always passes, so an application behind the same address as a guesser is never locked out. What a locked-out
address loses is an answer worth having: it learns nothing about its keys, and costs no line in the log.
"""

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass

WRONG_KEYS, WITHIN_S = 10, 60.0
LOCKED_FOR_S = 300.0
MAX_ADDRESSES = 10_000


@dataclass(slots=True)
class _Record:
    began_at: float
    wrong: int = 0
    locked_until: float = 0.0


class Lockout:
    """What is remembered of guessers.

    Args:
        wrong_keys: so many within `within_s` seconds lock an address out for `locked_for_s` seconds.
        max_addresses: further ones push out those longest unseen.
    """

    def __init__(
        self,
        *,
        wrong_keys: int = WRONG_KEYS,
        within_s: float = WITHIN_S,
        locked_for_s: float = LOCKED_FOR_S,
        max_addresses: int = MAX_ADDRESSES,
    ) -> None:
        self._wrong_keys = wrong_keys
        self._within_s = within_s
        self._locked_for_s = locked_for_s
        self._max_addresses = max_addresses
        self._records: OrderedDict[str, _Record] = OrderedDict()

    def __len__(self) -> int:
        return len(self._records)

    def left_s(self, address: str, now: float) -> float:
        """Return for how many seconds more an address is locked out, 0 if it is not."""
        record = self._records.get(address)
        return max(0.0, record.locked_until - now) if record else 0.0

    def wrong(self, address: str, now: float) -> bool:
        """Count a wrong key; tell whether it locks the address out just now."""
        record = self._records.get(address)
        if record is None or now - record.began_at > self._within_s:
            locked_until = record.locked_until if record else 0.0
            record = self._records[address] = _Record(now, locked_until=locked_until)
        self._records.move_to_end(address)
        while len(self._records) > self._max_addresses:
            self._records.popitem(last=False)
        record.wrong += 1
        if record.wrong < self._wrong_keys or record.locked_until > now:
            return False
        record.wrong, record.locked_until = 0, now + self._locked_for_s
        return True


def address_of(peer: str) -> str:
    """Return what is counted for a gRPC peer ("ipv4:192.0.2.1:5000"): an address; of IPv6 its network of 64 bits."""
    kind, _, rest = peer.partition(":")
    if kind not in {"ipv4", "ipv6"}:
        return kind or "unknown"  # all unix sockets are one machine
    host = rest.rpartition(":")[0].replace("%5B", "").replace("%5D", "").strip("[]")
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if address.version == 6:  # noqa: PLR2004 - IPv6
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)

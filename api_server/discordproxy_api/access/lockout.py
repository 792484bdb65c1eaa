"""Counts wrong keys by address and locks addresses out. Pure: time is an argument; memory is bounded.

A valid key is always accepted, so that a lockout does not affect applications behind the same address. A locked-out
address gets the same refusal for every wrong key, and is not logged again.
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
    """The addresses that sent wrong keys lately.

    Args:
        wrong_keys: this many within `within_s` seconds lock an address out for `locked_for_s` seconds.
        max_addresses: beyond this, the least recently seen address is forgotten.
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

    def left_s(self, address: str, now: float) -> float:
        """Return the remaining seconds of an address's lockout, 0 if it is not locked out."""
        record = self._records.get(address)
        return max(0.0, record.locked_until - now) if record else 0.0

    def add_wrong_key(self, address: str, now: float) -> bool:
        """Count a wrong key. Return whether this one locks the address out."""
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
    """Return the address of a gRPC peer ("ipv4:192.0.2.1:5000"): an IPv4 address or an IPv6 /64 network."""
    kind, _, rest = peer.partition(":")
    if kind not in {"ipv4", "ipv6"}:
        return kind or "unknown"  # unix sockets count as one address
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

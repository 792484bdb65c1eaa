"""The accounts of one worker: one per credential, opened at its first use.

A bearer token is used for a limited time, so its account is closed when it has been idle for some minutes.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping

from discordproxy_ratelimit.errors import WaitRefusedError
from discordproxy_ratelimit.limiter.account import Account

LASTING = frozenset({"bot", "ip"})
"""Credentials of every worker, whose accounts stay open."""

MAX_ACCOUNTS = 1000
IDLE_S = 600.0
CHECK_INTERVAL_S = 60.0


class Accounts(Mapping[str, Account]):
    """Accounts by credential.

    Args:
        open_account: opens the account of a credential.
        maximum: number of open accounts; the one that has been idle longest is closed for a new one.
        idle_s: seconds without a call to Redis after which an account that holds nothing is closed.
    """

    def __init__(
        self, open_account: Callable[[str], Account], *, maximum: int = MAX_ACCOUNTS, idle_s: float = IDLE_S
    ) -> None:
        self._open, self._maximum, self._idle_s = open_account, maximum, idle_s
        self._accounts: dict[str, Account] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._look: asyncio.TimerHandle | None = None

    def __getitem__(self, credential: str) -> Account:
        return self._accounts[credential]

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._accounts))

    def __len__(self) -> int:
        return len(self._accounts)

    def of(self, credential: str) -> Account:
        """Return the account of a credential; it stays open while a call waits in it or holds a permit.

        Raises:
            WaitRefusedError: too many credentials are in use at present.
        """
        if credential not in self._accounts:
            if len(self._accounts) >= self._maximum and credential not in LASTING:
                self._make_room()
            self._accounts[credential] = self._open(credential)
            if credential not in LASTING and self._look is None:
                self._look_later()
        return self._accounts[credential]

    def _make_room(self) -> None:
        idle = {name: idle_s for name in self._temporary() if (idle_s := self._accounts[name].idle_s) is not None}
        if not idle:
            raise WaitRefusedError("Too many credentials are in use already", reason="QUEUE_FULL", retry_after_s=1.0)
        self._close(max(idle, key=idle.__getitem__))

    def _temporary(self) -> list[str]:
        return [name for name in self._accounts if name not in LASTING]

    def _look_later(self) -> None:
        self._look = asyncio.get_running_loop().call_later(CHECK_INTERVAL_S, self._close_idle)

    def _close_idle(self) -> None:
        for name in self._temporary():
            if (self._accounts[name].idle_s or 0.0) >= self._idle_s:
                self._close(name)
        self._look = None
        if self._temporary():
            self._look_later()

    def _close(self, credential: str) -> None:
        task = asyncio.create_task(self._accounts.pop(credential).close(), name="broker-account-close")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Close all accounts."""
        if self._look:
            self._look.cancel()
        await asyncio.gather(*(account.close() for account in self._accounts.values()), *self._closing)

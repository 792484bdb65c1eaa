"""Accounts of bearer tokens are closed when idle; the bot's account stays open."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from discordproxy_ratelimit.errors import WaitRefusedError
from discordproxy_ratelimit.limiter.accounts import Accounts
from fakes.virtual_time import VirtualClock, run


class FakeAccount:
    def __init__(self) -> None:
        self.used_at: float | None = asyncio.get_running_loop().time()
        self.closed = False

    @property
    def idle_s(self) -> float | None:
        return None if self.used_at is None else asyncio.get_running_loop().time() - self.used_at

    async def close(self) -> None:
        self.closed = True


def virtual(story: Coroutine[Any, Any, None]) -> None:
    run(story, VirtualClock())


def open_account(_credential: str) -> Any:
    return FakeAccount()


def test_an_account_that_nobody_uses_is_closed_and_opened_anew() -> None:
    async def story() -> None:
        accounts: Any = Accounts(open_account, idle_s=600)
        bot, idle, busy = accounts.of("bot"), accounts.of("bearer a"), accounts.of("bearer b")
        busy.used_at = None
        await asyncio.sleep(300)
        assert accounts.of("bearer a") is idle
        await asyncio.sleep(500)
        assert list(accounts) == ["bot", "bearer b"]
        assert (bot.closed, idle.closed, busy.closed) == (False, True, False)
        assert accounts.of("bearer a") is not idle
        await accounts.close()
        assert bot.closed
        assert busy.closed

    virtual(story())


@pytest.mark.parametrize("credential", ["bot", "ip"])
def test_bearer_tokens_in_use_keep_nobody_from_the_lasting_accounts(credential: str) -> None:
    async def story() -> None:
        accounts: Any = Accounts(open_account, maximum=3)
        for number in range(3):
            accounts.of(f"bearer {number}").used_at = None
        with pytest.raises(WaitRefusedError):
            accounts.of("bearer 4")
        assert accounts.of(credential)

    virtual(story())


def test_there_are_never_too_many() -> None:
    async def story() -> None:
        accounts: Any = Accounts(open_account, maximum=3)
        bot, first = accounts.of("bot"), accounts.of("bearer 1")
        await asyncio.sleep(1)
        second = accounts.of("bearer 2")
        accounts.of("bearer 3")
        assert list(accounts) == ["bot", "bearer 2", "bearer 3"]
        for account in accounts.values():
            account.used_at = None
        with pytest.raises(WaitRefusedError, match="Too many credentials"):
            accounts.of("bearer 4")
        await accounts.close()
        assert bot.closed
        assert first.closed
        assert second.closed

    virtual(story())

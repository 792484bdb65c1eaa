"""The search for members with a role in Discord's paginated list."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from discordproxy import discord_api_pb2 as pb
from discordproxy_api.cached.lookups import MEMBERS_PER_PAGE
from discordproxy_api.cached.reads import Read
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.contract.translate import Outgoing


def page(first: int, count: int = MEMBERS_PER_PAGE) -> list[dict[str, Any]]:
    return [{"user": {"id": str(number)}, "roles": []} for number in range(first, first + count)]


async def look(*pages: list[dict[str, Any]]) -> tuple[list[Any], int]:
    """Return the members that are found, and the number of pages read; the last page repeats."""
    read = 0

    async def document(*_: Any, **__: Any) -> Any:
        nonlocal read
        read += 1
        await asyncio.sleep(0)
        return pages[min(read, len(pages)) - 1]

    request = pb.ListGuildMembersRequest(guild_id=1, role_id=7)
    outgoing = Outgoing("GET", "/guilds/{guild_id}/members", {})
    found = await Read._members_of_role(SimpleNamespace(_document=document), outgoing, request, None)  # type: ignore[arg-type]
    return found, read


async def test_the_list_is_read_to_its_end():
    assert await look(page(1), page(1001), page(2001, 3)) == ([], 3)


async def test_a_list_that_repeats_itself_ends_the_call():
    async with asyncio.timeout(60):
        with pytest.raises(ApiError, match="unexpected form"):
            await look(page(1), page(1001))

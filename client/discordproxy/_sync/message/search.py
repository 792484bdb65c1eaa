# Generated from _async/message/search.py by client/generate_sync.py; edit that file and run it again.
"""Searches for messages and threads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from discordproxy._requests.checks import make
from discordproxy._requests.compose import fill, split_call
from discordproxy._sync.calls import Calls
from discordproxy.discord_api_pb2 import SearchMessagesRequest, SearchThreadsRequest

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from discordproxy._requests.settings import MessageSearch, ThreadSearch
    from discordproxy.discord_api_pb2 import SearchMessagesResponse, SearchThreadsResponse


class SearchCalls(Calls):
    """Searches, which wait until Discord has built its index."""

    def search_messages(
        self, guild_id: int, content: str = "", **criteria: Unpack[MessageSearch]
    ) -> SearchMessagesResponse:
        """Search messages in the channels of a guild that the bot can read.

        While Discord builds the index for the search, the call waits, at most until its deadline.

        Args:
            guild_id: The guild.
            content: Words of the message, up to 1024 characters; "": any.
            criteria: `author_id`, `channel_id`, `has`, `limit`, `offset` ...: see MessageSearch.

        Returns:
            `messages`, and `total_results`, the number of all messages that match.
        """
        fields, call = split_call(criteria)
        request = make(SearchMessagesRequest, guild_id=guild_id, content=content)
        fill(request, fields)
        return self._read(self.stub.SearchMessages, request, **call)

    def search_threads(
        self, channel_id: int, name: str = "", **criteria: Unpack[ThreadSearch]
    ) -> SearchThreadsResponse:
        """Search threads of a channel by name.

        Args:
            channel_id: The channel.
            name: Words of the name, up to 100 characters; "": any.
            criteria: `tag`, `archived`, `limit`, `offset` ...: see ThreadSearch.

        Returns:
            `threads`, their `first_messages`, and `total_results`, the number of all threads that match.
        """
        fields, call = split_call(criteria)
        request = make(SearchThreadsRequest, channel_id=channel_id, name=name)
        fill(request, fields)
        return self._read(self.stub.SearchThreads, request, **call)

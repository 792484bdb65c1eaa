"""Searches for messages and threads. `World.searches_before_index` searches find no index yet."""

from collections.abc import Iterable, Iterator

from discordproxy_sandbox.errors import Json
from discordproxy_sandbox.resources.exchange import ApiAnswer, ApiRequest, ApiRoute, Routes
from discordproxy_sandbox.world.visibility import bot_sees
from discordproxy_sandbox.world.world import THREADS, Channel

_PAGE = 25
_MAX_OFFSET = 9975


def _not_indexed(request: ApiRequest) -> ApiAnswer | None:
    world = request.world
    if not world.searches_before_index:
        return None
    world.searches_before_index -= 1
    text = "Index not yet available. Try again later"
    body: Json = {"message": text, "code": 110000, "documents_indexed": 0, "retry_after": world.index_retry_after_s}
    return ApiAnswer(202, body)


def messages(request: ApiRequest) -> Json | ApiAnswer:
    """Return the messages of a guild that match text, author, channel and bounds, newest first."""
    guild = request.world.guild(request["guild_id"])
    visible = [channel for channel in guild.channels.values() if bot_sees(request.world, channel)]
    found = sorted(_messages_of(request, visible), key=lambda one: int(one["id"]), reverse=True)
    if request.query.get("sort_order") == "asc":
        found.reverse()
    page = _page(request, found)
    return _not_indexed(request) or {
        "messages": [
            [{key: value for key, value in one.items() if key != "reactions"} | {"hit": True}] for one in page
        ],
        "doing_deep_historical_index": False,
        "total_results": len(found),
    }


def _messages_of(request: ApiRequest, channels: Iterable[Channel]) -> Iterator[Json]:
    words = request.query.get("content", "").lower()
    authors, places = request.query_list("author_id"), request.query_list("channel_id")
    oldest, newest = request.snowflake("min_id") or 0, request.snowflake("max_id") or 1 << 64
    for channel in channels:
        for one in channel.messages.values() if not places or channel.id in places else ():
            fits = oldest < int(one["id"]) < newest and words in one["content"].lower()
            if fits and (not authors or one["author"]["id"] in authors):
                yield one


def threads(request: ApiRequest) -> Json | ApiAnswer:
    """Return the threads of a channel whose names contain a text."""
    channel = request.world.channel(request["channel_id"])
    words = request.query.get("name", "").lower()
    siblings = request.world.guild(channel.guild_id).channels.values()
    found = [
        each.data
        for each in siblings
        if each.type in THREADS and each.data["parent_id"] == channel.id and words in each.data["name"].lower()
    ]
    page = _page(request, found)
    more = len(found) > request.number("offset", 0, 0, _MAX_OFFSET) + len(page)
    answer: Json = {"threads": page, "members": [], "has_more": more, "total_results": len(found)}
    return _not_indexed(request) or answer


def _page(request: ApiRequest, found: list[Json]) -> list[Json]:
    offset = request.number("offset", 0, 0, _MAX_OFFSET)
    return found[offset : offset + request.number("limit", _PAGE, 1, _PAGE)]


ROUTES: Routes = {
    "GET /guilds/{guild_id}/messages/search": ApiRoute(messages),
    "GET /channels/{channel_id}/threads/search": ApiRoute(threads),
}

"""Reads without a route at Discord: voice states and computed permissions."""

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from typing import Any

from google.protobuf.message import Message

from discordproxy.discord_api_pb2 import (
    ChannelId,
    ComputePermissionsResponse,
    Freshness,
    GetCurrentUserRequest,
    GetGuildRequest,
    MemberId,
    VoiceState,
    VoiceStatesResponse,
)
from discordproxy_api.cached.permission_advice import denials
from discordproxy_api.cached.permission_names import names_of
from discordproxy_api.cached.permissions import THREADS, compute
from discordproxy_api.cached.reads import FreshDocument, Read, Reads, freshness_of
from discordproxy_api.calls import errors
from discordproxy_api.calls.call import Call
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.calls.retry import Repeat
from discordproxy_api.contract.contract import Rpc
from discordproxy_api.contract.translate import message_reader
from discordproxy_api.rpcs.procedure import Job
from discordproxy_api.rpcs.routed import check
from discordproxy_gateway.cache import CACHE_ERRORS, read_state

VOICE_INTENT = "voice_states"


class GetVoiceStates:
    """Returns the voice states of a guild from the caches; Discord has no route for them."""

    def __init__(self, rpc: Rpc, reads: Reads) -> None:
        self.rpc = rpc
        self._reads = reads
        self._from_json = message_reader(VoiceState.DESCRIPTOR)

    def job(self, request: Any, call: Call) -> Job:
        """Return the job for a request message; raises ApiError when it is invalid."""
        check(self.rpc, request)
        del call
        return Job(partial(self._run, request.guild_id, request.channel_id), Repeat.ALWAYS, effect=False)

    async def _run(self, guild_id: int, channel_id: int) -> Message:
        reader = self._reads.caches.reader
        try:
            answer, state = await asyncio.gather(reader.voice_states(guild_id), read_state(reader.redis, reader.keys))
        except CACHE_ERRORS:
            raise _no_gateway("Redis does not answer") from None
        if state.intents and VOICE_INTENT not in state.intents:
            text = f"The gateway worker does not receive voice states; add {VOICE_INTENT} to DISCORDPROXY_INTENTS."
            raise errors.refusal("FAILED_PRECONDITION", "INTENT_OFF", text)
        if answer.freshness is None or not answer.usable(self._reads.max_age_s):
            raise _no_gateway("the cache of this guild is empty or outdated")
        found = [self._from_json(each) for each in answer.value or ()]
        shown = [each for each in found if channel_id in {0, each.channel_id}]
        return VoiceStatesResponse(voice_states=shown, freshness=freshness_of(answer.freshness))


def _no_gateway(problem: str) -> ApiError:
    text = (
        f"Voice states come only from the gateway, and {problem}; make sure that the gateway worker runs, then retry."
    )
    return errors.refusal("UNAVAILABLE", "NO_GATEWAY", text, retry_after_s=5.0)


class ComputePermissions:
    """Computes the permissions of a member from guild, channel and member, read one by one.

    Args:
        guild, channel, member, user: the reads GetGuild, GetChannel, GetGuildMember, GetCurrentUser.
        now_ms: returns Discord's time in milliseconds since 1970.
    """

    def __init__(
        self, rpc: Rpc, *, guild: Read, channel: Read, member: Read, user: Read, now_ms: Callable[[], int]
    ) -> None:
        self.rpc = rpc
        self._guild = guild
        self._channel = channel
        self._member = member
        self._user = user
        self._now_ms = now_ms

    def job(self, request: Any, call: Call) -> Job:
        """Return the job for a request message; raises ApiError when it is invalid."""
        check(self.rpc, request)
        return Job(partial(self._run, request, call), Repeat.ALWAYS, effect=False)

    async def _run(self, request: Any, call: Call) -> Message:
        guild_id, fresh = request.guild_id, request.fresh
        found = [await self._guild.find(GetGuildRequest(guild_id=guild_id, fresh=fresh), call)]
        found.append(await self._member_of(request, call))
        guild, member = (each.document for each in found)
        channel = thread = None
        channel_type = 0
        if request.channel_id:
            found.append(await self._channel_of(guild_id, request.channel_id, call, fresh=fresh))
            channel = found[-1].document
            channel_type = channel["type"]
            if channel_type in THREADS:
                thread = channel
                found.append(await self._channel_of(guild_id, int(thread["parent_id"]), call, fresh=fresh))
                channel = found[-1].document
        until = member.get("communication_disabled_until") or ""
        timed_out = bool(until) and datetime.fromisoformat(until).timestamp() * 1000 > self._now_ms()
        result = compute(guild, member, channel, thread=thread, timed_out=timed_out)
        missing = list(denials(result, channel_type))
        return ComputePermissionsResponse(
            permissions=result.bits,
            names=names_of(result.bits),
            can_send=not missing,
            missing=[
                ComputePermissionsResponse.Denial(
                    permission=each.permission,
                    rule=each.rule,  # type: ignore[arg-type]  # a number of that enum
                    ids=each.ids,
                    advice=each.advice,
                )
                for each in missing
            ],
            owner=result.owner,
            administrator=result.administrator,
            timed_out_until=until if timed_out else "",
            freshness=_oldest(each.freshness for each in found),
        )

    async def _member_of(self, request: Any, call: Call) -> FreshDocument:
        user_id = request.user_id
        if not user_id:
            user_id = int((await self._user.find(GetCurrentUserRequest(), call)).document["id"])
        return await self._member.find(MemberId(guild_id=request.guild_id, user_id=user_id, fresh=request.fresh), call)

    async def _channel_of(self, guild_id: int, channel_id: int, call: Call, *, fresh: bool) -> FreshDocument:
        found = await self._channel.find(ChannelId(channel_id=channel_id, fresh=fresh), call)
        if int(found.document.get("guild_id") or 0) != guild_id:
            raise errors.invalid_field("channel_id", "CHANNEL_OF_ANOTHER_GUILD", "Must be a channel of the guild.")
        return found


def _oldest(all_of: Iterable[Freshness]) -> Freshness:
    """Return the freshness of the oldest part."""
    return max(all_of, key=lambda each: (each.source == Freshness.CACHE, each.age.ToMilliseconds()))

"""RPCs that are more than one request: direct messages, role synchronisation, files added to a message."""

from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any

import orjson
from google.protobuf.message import Message

from discordproxy.discord_api_pb2 import SendChannelMessageRequest, SyncMemberRolesResponse
from discordproxy_api.calls import errors
from discordproxy_api.calls.call import Call
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.calls.field_errors import FieldError
from discordproxy_api.calls.retry import Repeat
from discordproxy_api.contract.contract import Rpc
from discordproxy_api.contract.encode import Json
from discordproxy_api.contract.rules.attachments import adds_files
from discordproxy_api.contract.translate import Outgoing
from discordproxy_api.discord.request import RestRequest, repeat_of, rest_request
from discordproxy_api.discord.rest import Rest
from discordproxy_api.rpcs.dm_channels import DmChannels
from discordproxy_api.rpcs.ordering import order_of
from discordproxy_api.rpcs.procedure import Job
from discordproxy_api.rpcs.routed import RequestPlan, Routed, check, document_of, keep_attachments, unfit
from discordproxy_ratelimit.route import route_of

UNKNOWN_CHANNEL = 10003

COMPOSITES = (
    "SendDirectMessage",
    "SyncMemberRoles",
    "CreateInteractionResponse",
    "Request",
    "GetVoiceStates",
    "ComputePermissions",
)
"""RPCs without a route; each is a class here, in `requests` or in `composite_reads`."""


class SendDirectMessage:
    """A message to the channel that bot and user share.

    Its request is a SendChannelMessageRequest but for the first field (by the contract, the numbers 2 to 29 mean the
    same in every request that writes a message), so it goes the same way.
    """

    def __init__(
        self, rpc: Rpc, channel_message: Rpc, rest: Rest, dm_channels: DmChannels, *, users_only: bool = False
    ) -> None:
        self.rpc = rpc
        self._routed = Routed(replace(channel_message, response_type=rpc.response_type), rest, users_only=users_only)
        self._dm_channels = dm_channels

    def job(self, request: Any, call: Call) -> Job:
        """Return the job for a request message; raises ApiError when it is invalid."""
        check(self.rpc, request)
        plan = self._routed.plan(SendChannelMessageRequest.FromString(request.SerializeToString()), call)
        return Job(partial(self._run, request.user_id, plan, call), repeat_of(plan.parts))

    async def _run(self, user_id: int, plan: RequestPlan, call: Call) -> Message:
        channel_id, remembered = await self._dm_channels.find(user_id, call)
        try:
            return await self._send(channel_id, plan, call)
        except ApiError as error:
            if not remembered or error.code != UNKNOWN_CHANNEL:
                raise
        channel_id, _ = await self._dm_channels.find(user_id, call, fresh=True)
        return await self._send(channel_id, plan, call)

    async def _send(self, channel_id: int, plan: RequestPlan, call: Call) -> Message:
        for part in plan.parts:
            part.parameters["channel_id"] = str(channel_id)
        return await self._routed.run(plan, call)


class EditMessage(Routed):
    """A change of a message. New files join the attachments it has, unless the caller says which of them stay."""

    def plan(self, request: Any, call: Call) -> RequestPlan:
        """Return what has to be sent for a valid request."""
        return replace(super().plan(request, call), keeps=adds_files(request))

    async def run(self, plan: RequestPlan, call: Call) -> Message:
        """Send what was planned and return the response."""
        if plan.keeps:
            (change,) = plan.parts
            plan = replace(plan, parts=[replace(change, body=await self._kept(change, call))])
        return await super().run(plan, call)

    async def _kept(self, change: Outgoing, call: Call) -> Json:
        query = [pair for pair in change.query if pair[0] == "thread_id"]
        read = Outgoing("GET", change.template, change.parameters, query, no_bot_auth=change.no_bot_auth)
        reply = await self._rest.send(replace(rest_request(read, now_ms=0), effect=False), call)
        return keep_attachments(change.body or {}, document_of(reply))


class SyncMemberRoles:
    """Makes a member's roles among the managed ones exactly those given: one read, at most one change.

    A single role is given or taken by itself, which leaves alone what others change at Discord meanwhile. More are
    written as a list; when nobody knows whether that happened, the list is made anew of what the member has by then.
    """

    _MEMBER = "/guilds/{guild_id}/members/{user_id}"
    _ROLE = f"{_MEMBER}/roles/{{role_id}}"

    def __init__(self, rpc: Rpc, rest: Rest) -> None:
        self.rpc = rpc
        self._rest = rest

    def job(self, request: Any, call: Call) -> Job:
        """Return the job for a request message; raises ApiError when it is invalid."""
        check(self.rpc, request)
        wanted, managed = set(request.roles), set(request.managed)
        strays = [
            FieldError(f"roles[{index}]", "ROLE_NOT_MANAGED", "This role is not among `managed`.")
            for index, role in enumerate(request.roles)
            if role not in managed
        ]
        if strays:
            raise errors.invalid_request(strays)
        parameters = {"guild_id": str(request.guild_id), "user_id": str(request.user_id)}
        return Job(
            partial(self._run, parameters, wanted, managed, request.reason, call),
            Repeat.ALWAYS,
            order=order_of("PATCH", self._MEMBER, parameters, ("roles",)),
        )

    async def _run(
        self, parameters: dict[str, str], wanted: set[int], managed: set[int], reason: str, call: Call
    ) -> Message:
        added: set[int] = set()
        removed: set[int] = set()
        for attempt in count(1):
            held = await self._held(parameters, call)
            added |= wanted - held
            removed |= (held & managed) - wanted
            if held & managed == wanted:
                break
            try:
                await self._rest.send(self._change(parameters, held, (held - managed) | wanted, reason), call)
                break
            except ApiError:
                if not call.in_doubt or not await self._rest.pause(attempt, call):
                    raise
        return SyncMemberRolesResponse(added=sorted(added), removed=sorted(removed))

    async def _held(self, parameters: dict[str, str], call: Call) -> set[int]:
        """Return the member's roles as Discord has them now: a cached list may be from before the last change."""
        request = RestRequest(
            method="GET",
            path=self._MEMBER.format_map(parameters),
            route=route_of("GET", self._MEMBER, parameters),
            repeat=Repeat.ALWAYS,
            effect=False,
        )
        member = document_of(await self._rest.send(request, call))
        try:
            return {int(role) for role in member["roles"]}
        except (TypeError, KeyError, ValueError):
            raise unfit() from None

    def _change(self, parameters: dict[str, str], held: set[int], target: set[int], reason: str) -> RestRequest:
        """Return the request that makes `target` of `held`; only one that concerns a single role may be repeated."""
        difference = held ^ target
        if len(difference) > 1:
            method, template, repeat = "PATCH", self._MEMBER, Repeat.NEVER
            body = orjson.dumps({"roles": [str(role) for role in sorted(target)]})
        else:
            (role,) = difference
            method, template, repeat = "PUT" if role in target else "DELETE", self._ROLE, Repeat.ALWAYS
            parameters, body = {**parameters, "role_id": str(role)}, None
        return RestRequest(
            method=method,
            path=template.format_map(parameters),
            route=route_of(method, template, parameters),
            body=body,
            reason=reason,
            repeat=repeat,
        )

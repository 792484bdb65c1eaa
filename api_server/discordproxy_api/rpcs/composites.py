"""RPCs that send several requests or read other responses: direct messages, roles, added files, searches, CSV."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from itertools import count
from typing import Any

from google.protobuf.message import Message

from discordproxy.discord_api_pb2 import InviteTargetUsersResponse, SendChannelMessageRequest, SyncMemberRolesResponse
from discordproxy_api.calls import errors
from discordproxy_api.calls.call import Call
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.calls.field_errors import FieldError
from discordproxy_api.calls.retry import Repeat
from discordproxy_api.contract.contract import Rpc
from discordproxy_api.contract.encode import Json
from discordproxy_api.contract.rules.attachments import adds_files
from discordproxy_api.contract.rules.limits import MAX_SNOWFLAKE
from discordproxy_api.contract.translate import Outgoing
from discordproxy_api.discord.request import Reply, repeat_of, rest_request
from discordproxy_api.discord.rest import Rest
from discordproxy_api.rpcs.dm_channels import DmChannels
from discordproxy_api.rpcs.member_roles import MemberRoles
from discordproxy_api.rpcs.procedure import Job
from discordproxy_api.rpcs.routed import RequestPlan, Routed, check, document_of, keep_attachments

UNKNOWN_CHANNEL = 10003
INDEX_NOT_READY = 110000
MAX_DIGITS = 20
INDEX_WAIT_S = 1.0
"""Wait in seconds if Discord sends none, or 0, while it builds an index."""


class SendDirectMessage:
    """Sends a message to the DM channel of a user.

    Except for the first field, its request is a SendChannelMessageRequest: in the contract the fields 2 to 29 are the
    same in all requests that write a message. So it is validated, translated and sent as one.
    """

    def __init__(
        self, rpc: Rpc, channel_message: Rpc, rest: Rest, dm_channels: DmChannels, *, users_only: bool = False
    ) -> None:
        self.rpc = rpc
        self._routed = Routed(replace(channel_message, response_type=rpc.response_type), rest, users_only=users_only)
        self._dm_channels = dm_channels

    def job(self, request: Any, call: Call) -> Job:
        """Return the job for a request message; raises ApiError if it is invalid."""
        check(self.rpc, request)
        plan = self._routed.plan(SendChannelMessageRequest.FromString(request.SerializeToString()), call)
        return Job(partial(self._run, request.user_id, plan, call), repeat_of(plan.parts))

    async def _run(self, user_id: int, plan: RequestPlan, call: Call) -> Message:
        channel_id, was_known = await self._dm_channels.find(user_id, call)
        try:
            return await self._send(channel_id, plan, call)
        except ApiError as error:
            if not was_known or error.code != UNKNOWN_CHANNEL:
                raise
        channel_id, _ = await self._dm_channels.find(user_id, call, fresh=True)
        return await self._send(channel_id, plan, call)

    async def _send(self, channel_id: int, plan: RequestPlan, call: Call) -> Message:
        for part in plan.parts:
            part.parameters["channel_id"] = str(channel_id)
        return await self._routed.run(plan, call)


class EditMessage(Routed):
    """Edits a message. New files are added to its attachments, unless the request lists those to keep."""

    def plan(self, request: Any, call: Call) -> RequestPlan:
        """Return the plan for a valid request."""
        return replace(super().plan(request, call), keeps_attachments=adds_files(request))

    async def run(self, plan: RequestPlan, call: Call) -> Message:
        """Carry out a plan and return the response."""
        if plan.keeps_attachments:
            (change,) = plan.parts
            plan = replace(plan, parts=[replace(change, body=await self._body_with_attachments(change, call))])
        return await super().run(plan, call)

    async def _body_with_attachments(self, change: Outgoing, call: Call) -> Json:
        """Read the message, and return the body of the change with the message's attachments."""
        query = [pair for pair in change.query if pair[0] == "thread_id"]
        read = Outgoing("GET", change.template, change.parameters, query, no_bot_auth=change.no_bot_auth)
        reply = await self._rest.send(replace(rest_request(read, now_ms=0), effect=False), call)
        return keep_attachments(change.body or {}, document_of(reply))


class IndexedSearch(Routed):
    """Searches messages or threads. While Discord builds the index, the search is repeated within the deadline."""

    async def _send_one(self, part: Outgoing, call: Call) -> Reply | None:
        while True:
            reply = await super()._send_one(part, call)
            if reply is None or reply.status != HTTPStatus.ACCEPTED:
                return reply
            refusal = _index_not_ready(document_of(reply))
            if not await self._rest.wait(refusal.retry_after_s or INDEX_WAIT_S, call):
                raise refusal


def _index_not_ready(document: Any) -> ApiError:
    given = document if isinstance(document, dict) else {}
    wait_s = given.get("retry_after")
    error = errors.refusal(
        "UNAVAILABLE",
        "INDEX_NOT_READY",
        str(given.get("message") or "Discord builds the index for this search; call again later."),
        retry_after_s=float(wait_s) if isinstance(wait_s, int | float) and wait_s > 0 else INDEX_WAIT_S,
    )
    error.http_status, error.code = HTTPStatus.ACCEPTED, INDEX_NOT_READY
    return error


class GetInviteTargetUsers(Routed):
    """Returns the users for whom an invite is. Discord sends them as a CSV file with one column."""

    def _response(self, replies: Sequence[Reply], parameters: dict[str, str]) -> Message:
        del parameters
        words = replies[0].body.decode("utf-8", "replace").replace(",", " ").replace('"', " ").split()
        return InviteTargetUsersResponse(user_ids=[int(word) for word in words if _is_id(word)])


def _is_id(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) <= MAX_DIGITS and 0 < int(word) <= MAX_SNOWFLAKE


class SyncMemberRoles:
    """Sets which of the managed roles a member has: one read, at most one change.

    If the outcome of writing a list is unknown, the list is computed again from the current roles.
    """

    def __init__(self, rpc: Rpc, rest: Rest) -> None:
        self.rpc = rpc
        self._rest = rest

    def job(self, request: Any, call: Call) -> Job:
        """Return the job for a request message; raises ApiError if it is invalid."""
        check(self.rpc, request)
        wanted, managed = set(request.roles), set(request.managed)
        unmanaged = [
            FieldError(f"roles[{index}]", "ROLE_NOT_MANAGED", "This role is not among `managed`.")
            for index, role in enumerate(request.roles)
            if role not in managed
        ]
        if unmanaged:
            raise errors.invalid_request(unmanaged)
        roles = MemberRoles(request.guild_id, request.user_id)
        return Job(partial(self._run, roles, wanted, managed, request.reason, call), Repeat.ALWAYS, order=roles.order)

    async def _run(self, roles: MemberRoles, wanted: set[int], managed: set[int], reason: str, call: Call) -> Message:
        """Change the roles from those that Discord returns; a cached list may be older than the last change."""
        added: set[int] = set()
        removed: set[int] = set()
        for attempt in count(1):
            current = await roles.read(self._rest, call)
            add, remove = wanted - current, (current & managed) - wanted
            added |= add
            removed |= remove
            if not add and not remove:
                break
            request = roles.change(add, remove, current=current, reason=reason, repeat=Repeat.ALWAYS)
            try:
                await self._rest.send(request, call)
                break
            except ApiError:
                if not call.in_doubt or not await self._rest.pause(attempt, call):
                    raise
        return SyncMemberRolesResponse(added=sorted(added), removed=sorted(removed))

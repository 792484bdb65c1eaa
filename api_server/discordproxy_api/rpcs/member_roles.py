"""Requests about the roles of one member, for RPCs that compute the roles that a member must have."""

from collections.abc import Collection

import orjson

from discordproxy_api.calls import errors
from discordproxy_api.calls.call import Call
from discordproxy_api.calls.retry import Repeat
from discordproxy_api.discord.request import RestRequest
from discordproxy_api.discord.rest import Rest
from discordproxy_api.rpcs.ordering import order_of
from discordproxy_api.rpcs.routed import document_of
from discordproxy_ratelimit.route import route_of

_MEMBER = "/guilds/{guild_id}/members/{user_id}"
_ROLE = f"{_MEMBER}/roles/{{role_id}}"


class MemberRoles:
    """The roles of one member at Discord.

    Attributes:
        order: name of the order in which they are changed, see `ordering`.
    """

    def __init__(self, guild_id: int, user_id: int) -> None:
        self._parameters = {"guild_id": str(guild_id), "user_id": str(user_id)}
        self.order = order_of("PATCH", _MEMBER, self._parameters, ("roles",))

    async def read(self, rest: Rest, call: Call) -> set[int]:
        """Return the ids of the roles; raises ApiError."""
        request = RestRequest(
            method="GET",
            path=_MEMBER.format_map(self._parameters),
            route=route_of("GET", _MEMBER, self._parameters),
            repeat=Repeat.ALWAYS,
            effect=False,
        )
        member = document_of(await rest.send(request, call))
        try:
            return {int(role) for role in member["roles"]}
        except (TypeError, KeyError, ValueError):
            raise errors.unexpected_answer() from None

    def change(
        self,
        add: Collection[int],
        remove: Collection[int],
        *,
        current: Collection[int],
        reason: str,
        repeat: Repeat,
    ) -> RestRequest:
        """Return the request that adds and removes roles, at least one.

        A single role has a request of its own, which does not affect concurrent changes at Discord. Several roles are
        written as the whole list.

        Args:
            add: roles that the member does not have.
            remove: roles that the member has.
            current: all roles of the member; not used for a single role.
            reason: for the audit log.
            repeat: how far the request for a single role may be repeated; a list is never repeated.
        """
        parameters, body = self._parameters, None
        if len(add) + len(remove) > 1:
            method, template, repeat = "PATCH", _MEMBER, Repeat.NEVER
            target = (set(current) - set(remove)) | set(add)
            body = orjson.dumps({"roles": [str(role) for role in sorted(target)]})
        else:
            (role,) = add or remove
            method, template = "PUT" if add else "DELETE", _ROLE
            parameters = {**parameters, "role_id": str(role)}
        return RestRequest(
            method=method,
            path=template.format_map(parameters),
            route=route_of(method, template, parameters),
            body=body,
            reason=reason,
            repeat=repeat,
        )

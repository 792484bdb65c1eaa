"""Wires the procedures: the objects that serve one RPC each."""

from collections.abc import Mapping

from discordproxy_api.cached.composite_reads import ComputePermissions, GetVoiceStates
from discordproxy_api.cached.lookups import LOOKUPS
from discordproxy_api.cached.reads import Read, Reads
from discordproxy_api.commands.discord_commands import DiscordCommands
from discordproxy_api.commands.owner_tables import OwnerTables
from discordproxy_api.commands.synchronization import CommandSync
from discordproxy_api.contract.contract import Rpc
from discordproxy_api.discord.rest import Rest
from discordproxy_api.rpcs.commands.calls import ListCommands, ReleaseCommands, SyncCommands
from discordproxy_api.rpcs.commands.own import OwnCommands
from discordproxy_api.rpcs.composites import (
    EditMessage,
    GetInviteTargetUsers,
    IndexedSearch,
    SendDirectMessage,
    SyncMemberRoles,
)
from discordproxy_api.rpcs.dm_channels import DmChannels
from discordproxy_api.rpcs.interaction_responses import CreateInteractionResponse, InteractionResponses
from discordproxy_api.rpcs.procedure import Procedure
from discordproxy_api.rpcs.raw_request import Request
from discordproxy_api.rpcs.route_policy import RoutePolicy
from discordproxy_api.rpcs.routed import Routed
from discordproxy_api.settings import ApiSettings


def discord_procedures(
    settings: ApiSettings, contract: Mapping[str, Rpc], rest: Rest, reads: Reads, dm_channels: DmChannels
) -> dict[str, Procedure]:
    """Return the procedures of the RPCs that stand for requests to Discord, or for several of them."""
    procedures: dict[str, Procedure] = {
        name: Routed(rpc, rest, users_only=settings.users_only_mentions)
        for name, rpc in contract.items()
        if rpc.template is not None and name not in LOOKUPS
    }
    cached = {name: Read(contract[name], reads) for name in LOOKUPS}
    procedures.update(cached)
    for name in ("EditMessage", "EditWebhookMessage", "EditInteractionResponse"):
        procedures[name] = EditMessage(contract[name], rest, users_only=settings.users_only_mentions)
    for name in ("SearchMessages", "SearchThreads"):
        procedures[name] = IndexedSearch(contract[name], rest)
    procedures["GetInviteTargetUsers"] = GetInviteTargetUsers(contract["GetInviteTargetUsers"], rest)
    procedures["SendDirectMessage"] = SendDirectMessage(
        contract["SendDirectMessage"],
        contract["SendChannelMessage"],
        rest,
        dm_channels,
        users_only=settings.users_only_mentions,
    )
    procedures["SyncMemberRoles"] = SyncMemberRoles(contract["SyncMemberRoles"], rest)
    procedures["GetVoiceStates"] = GetVoiceStates(contract["GetVoiceStates"], reads)
    procedures["ComputePermissions"] = ComputePermissions(
        contract["ComputePermissions"],
        guild=cached["GetGuild"],
        channel=cached["GetChannel"],
        member=cached["GetGuildMember"],
        user=cached["GetCurrentUser"],
        now_ms=rest.clock.now_ms,
    )
    return procedures


def command_procedures(
    contract: Mapping[str, Rpc], commands: DiscordCommands, owners: OwnerTables, sync: CommandSync
) -> dict[str, Procedure]:
    """Return the procedures of the RPCs for application commands with owners."""
    return {
        "SyncCommands": SyncCommands(contract["SyncCommands"], sync, commands),
        "ListCommands": ListCommands(contract["ListCommands"], commands, owners),
        "ReleaseCommands": ReleaseCommands(contract["ReleaseCommands"], owners),
    }


def interaction_procedures(
    settings: ApiSettings,
    contract: Mapping[str, Rpc],
    rest: Rest,
    responses: InteractionResponses,
    own_commands: OwnCommands,
) -> dict[str, Procedure]:
    """Return the procedures that can send a first response to an interaction."""
    create = CreateInteractionResponse(
        contract["CreateInteractionResponse"], responses, users_only=settings.users_only_mentions
    )
    request = Request(contract["Request"], rest, responses, route_policy(settings), own_commands)
    return {"Request": request, create.rpc.name: create}


def route_policy(settings: ApiSettings) -> RoutePolicy:
    """Return which routes may be called without an RPC of their own."""
    return RoutePolicy(allow=settings.request_allow, deny=settings.request_deny)

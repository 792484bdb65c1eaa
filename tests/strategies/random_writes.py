"""Random writes through one worker, each followed by a read through another, which must return the new value."""

import random
from collections import Counter
from typing import Any

import grpc
import orjson

from discordproxy import discord_api_pb2 as pb
from discordproxy_sandbox.world.population import CHANNEL_ID, GUILD_ID, ROLE_ID, USER_ID, nth

GUILD = int(GUILD_ID)
MEMBERS = [int(nth(USER_ID, number)) for number in range(1, 5)]


class Writer:
    """Makes random changes and reads each one back.

    Attributes:
        stale: reads that did not return the written value.
        sources: number of reads per source.
    """

    def __init__(self, stubs: list[Any], seed: int) -> None:
        self._stubs = stubs
        self._random = random.Random(seed)
        self.channels = [int(nth(CHANNEL_ID, number)) for number in (0, 4, 5)]
        self.roles = [int(nth(ROLE_ID, number)) for number in (1, 2)]
        self.stale: list[str] = []
        self.sources: Counter[int] = Counter()

    async def once(self) -> None:
        """Write, then read through another worker."""
        stubs = self._stubs[:]
        self._random.shuffle(stubs)
        write, read = stubs[:2]
        change = self._random.choice(WRITES)
        await change(self, write, read)

    def shows(self, name: str, response: Any, *, as_written: bool) -> None:
        self.sources[response.freshness.source] += 1
        if not as_written:
            self.stale.append(name)

    def text(self) -> str:
        return f"text {self._random.randrange(10**9)}"

    async def topic(self, write: Any, read: Any) -> None:
        channel, topic = self._random.choice(self.channels), self.text()
        await write.EditChannel(pb.EditChannelRequest(channel_id=channel, topic=topic))
        response = await read.GetChannel(pb.ChannelId(channel_id=channel))
        self.shows("topic", response, as_written=response.channel.topic == topic)

    async def new_channel(self, write: Any, read: Any) -> None:
        request = pb.CreateChannelRequest(guild_id=GUILD, name="made", type="GUILD_TEXT")
        made = (await write.CreateChannel(request)).channel.id
        self.channels.append(made)
        response = await read.GetGuildChannels(pb.GetGuildChannelsRequest(guild_id=GUILD))
        self.shows("new channel", response, as_written=made in {each.id for each in response.channels})

    async def gone_channel(self, write: Any, read: Any) -> None:
        if len(self.channels) < 4:
            return
        gone = self.channels.pop()
        await write.DeleteChannel(pb.ChannelId(channel_id=gone))
        response = await read.GetGuildChannels(pb.GetGuildChannelsRequest(guild_id=GUILD))
        self.shows("gone channel", response, as_written=gone not in {each.id for each in response.channels})

    async def overwrite(self, write: Any, read: Any) -> None:
        channel, role = self._random.choice(self.channels), self._random.choice(self.roles)
        allow = self._random.choice([0, 1024, 2048])
        request = pb.SetChannelPermissionsRequest(channel_id=channel, overwrite_id=role, allow=allow, deny=8192)
        await write.SetChannelPermissions(request)
        response = await read.GetChannel(pb.ChannelId(channel_id=channel))
        found = {each.id: each.allow for each in response.channel.permission_overwrites}
        self.shows("overwrite", response, as_written=found.get(role) == allow)

    async def no_overwrite(self, write: Any, read: Any) -> None:
        channel, role = self._random.choice(self.channels), self._random.choice(self.roles)
        await write.SetChannelPermissions(pb.SetChannelPermissionsRequest(channel_id=channel, overwrite_id=role))
        await write.DeleteChannelPermissions(pb.ChannelOverwriteId(channel_id=channel, overwrite_id=role))
        response = await read.GetGuildChannels(pb.GetGuildChannelsRequest(guild_id=GUILD))
        found = {each.id: {one.id for one in each.permission_overwrites} for each in response.channels}
        self.shows("no overwrite", response, as_written=role not in found[channel])

    async def new_role(self, write: Any, read: Any) -> None:
        made = (await write.CreateRole(pb.CreateRoleRequest(guild_id=GUILD, name="made"))).role.id
        user = self._random.choice(MEMBERS)
        await write.AddMemberRole(pb.MemberRoleRequest(guild_id=GUILD, user_id=user, role_id=made))
        response = await read.GetGuildMember(pb.MemberId(guild_id=GUILD, user_id=user))
        self.shows("new role of a member", response, as_written=made in response.member.roles)
        self.roles.append(made)

    async def role_name(self, write: Any, read: Any) -> None:
        role, name = self._random.choice(self.roles), self.text()
        await write.EditRole(pb.EditRoleRequest(guild_id=GUILD, role_id=role, name=name))
        response = await read.GetGuildRoles(pb.GuildId(guild_id=GUILD))
        self.shows("role name", response, as_written={each.id: each.name for each in response.roles}[role] == name)

    async def gone_role(self, write: Any, read: Any) -> None:
        if len(self.roles) < 3:
            return
        gone = self.roles.pop()
        await write.DeleteRole(pb.RoleId(guild_id=GUILD, role_id=gone))
        response = await read.ListGuildMembers(pb.ListGuildMembersRequest(guild_id=GUILD, limit=1000))
        self.shows("gone role", response, as_written=all(gone not in each.roles for each in response.members))

    async def nick(self, write: Any, read: Any) -> None:
        user, nick = self._random.choice(MEMBERS), self.text()
        await write.EditGuildMember(pb.EditGuildMemberRequest(guild_id=GUILD, user_id=user, nick=nick))
        response = await read.GetGuildMember(pb.MemberId(guild_id=GUILD, user_id=user))
        self.shows("nick", response, as_written=response.member.nick == nick)

    async def member_role(self, write: Any, read: Any) -> None:
        user, role = self._random.choice(MEMBERS), self._random.choice(self.roles)
        request, added = pb.MemberRoleRequest(guild_id=GUILD, user_id=user, role_id=role), self._random.random() < 0.5
        await (write.AddMemberRole if added else write.RemoveMemberRole)(request)
        response = await read.ListGuildMembers(pb.ListGuildMembersRequest(guild_id=GUILD, limit=1000))
        found = next(each for each in response.members if each.user.id == user)
        self.shows("member role", response, as_written=(role in found.roles) == added)

    async def synced(self, write: Any, read: Any) -> None:
        user, managed = self._random.choice(MEMBERS), self.roles[:2]
        wanted = [role for role in managed if self._random.random() < 0.5]
        await write.SyncMemberRoles(
            pb.SyncMemberRolesRequest(guild_id=GUILD, user_id=user, roles=wanted, managed=managed)
        )
        response = await read.GetGuildMember(pb.MemberId(guild_id=GUILD, user_id=user))
        self.shows("synced roles", response, as_written=set(response.member.roles) & set(managed) == set(wanted))

    async def kicked(self, write: Any, read: Any) -> None:
        user = self._random.choice(MEMBERS)
        member = pb.MemberId(guild_id=GUILD, user_id=user)
        await write.KickGuildMember(member)
        try:
            await read.GetGuildMember(member)
            self.stale.append("kicked")
        except grpc.aio.AioRpcError as error:
            if orjson.loads(error.details())["code"] != 10007:
                self.stale.append("kicked")
        await write.AddGuildMember(pb.AddGuildMemberRequest(guild_id=GUILD, user_id=user, access_token="x"))
        response = await read.GetGuildMember(member)
        self.shows("back again", response, as_written=response.member.user.id == user)

    async def guild_name(self, write: Any, read: Any) -> None:
        name = self.text()
        body = orjson.dumps({"name": name}).decode()
        await write.Request(pb.ApiRequest(method="PATCH", path=f"/guilds/{GUILD}", json=body))
        response = await read.GetGuild(pb.GetGuildRequest(guild_id=GUILD))
        self.shows("guild name", response, as_written=response.guild.name == name)
        response = await read.ListGuilds(pb.ListGuildsRequest())
        self.shows("listed name", response, as_written={each.id: each.name for each in response.guilds}[GUILD] == name)

    async def thread(self, write: Any, read: Any) -> None:
        request = pb.CreateThreadRequest(channel_id=self.channels[0], name="made", type="PUBLIC_THREAD")
        made = (await write.CreateThread(request)).channel.id
        response = await read.GetChannel(pb.ChannelId(channel_id=made))
        self.shows("thread", response, as_written=response.channel.parent_id == self.channels[0])


WRITES = (
    Writer.topic,
    Writer.new_channel,
    Writer.gone_channel,
    Writer.overwrite,
    Writer.no_overwrite,
    Writer.new_role,
    Writer.role_name,
    Writer.gone_role,
    Writer.nick,
    Writer.member_role,
    Writer.synced,
    Writer.kicked,
    Writer.guild_name,
    Writer.thread,
)

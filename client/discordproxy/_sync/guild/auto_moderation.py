# Generated from _async/guild/auto_moderation.py by client/generate_sync.py; edit that file and run it again.
"""Calls about auto moderation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from discordproxy._requests.checks import make
from discordproxy._requests.compose import fill, patch, split_call
from discordproxy._sync.calls import Calls
from discordproxy.discord_api_pb2 import (
    AutoModerationRuleId,
    CreateAutoModerationRuleRequest,
    EditAutoModerationRuleRequest,
    GuildId,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import Unpack

    from discordproxy._requests.arguments import CallArguments
    from discordproxy._requests.settings import AutoModerationRuleChanges, AutoModerationRuleSettings
    from discordproxy.discord_api_pb2 import AutoModerationRule


class AutoModerationCalls(Calls):
    """Calls about auto moderation rules."""

    def list_auto_moderation_rules(self, guild_id: int, **call: Unpack[CallArguments]) -> list[AutoModerationRule]:
        """Return the auto moderation rules of a guild."""
        request = make(GuildId, guild_id=guild_id)
        return list(self._read(self.stub.ListAutoModerationRules, request, **call).rules)

    def get_auto_moderation_rule(
        self, guild_id: int, rule_id: int, **call: Unpack[CallArguments]
    ) -> AutoModerationRule:
        """Return an auto moderation rule."""
        request = make(AutoModerationRuleId, guild_id=guild_id, rule_id=rule_id)
        return self._read(self.stub.GetAutoModerationRule, request, **call).rule

    def create_auto_moderation_rule(
        self,
        guild_id: int,
        name: str,
        event_type: int,
        trigger_type: int,
        actions: Iterable[AutoModerationRule.Action],
        **settings: Unpack[AutoModerationRuleSettings],
    ) -> AutoModerationRule:
        """Create an auto moderation rule.

        Args:
            guild_id: The guild.
            name: 1 to 100 characters.
            event_type: 1 = a message is sent, 2 = a member joins or edits the profile.
            trigger_type: 1 = keyword, 3 = spam, 4 = keyword preset, 5 = mention spam, 6 = member profile.
            actions: Up to 5 actions.
            settings: `trigger_metadata`, `enabled`, `exempt_roles` ...: see AutoModerationRuleSettings.
        """
        fields, call = split_call(settings)
        request = make(
            CreateAutoModerationRuleRequest,
            guild_id=guild_id,
            name=name,
            event_type=event_type,
            trigger_type=trigger_type,
            actions=actions,
        )
        fill(request, fields)
        return self._write(self.stub.CreateAutoModerationRule, request, **call).rule

    def edit_auto_moderation_rule(
        self, guild_id: int, rule_id: int, **changes: Unpack[AutoModerationRuleChanges]
    ) -> AutoModerationRule:
        """Edit an auto moderation rule. Omitted arguments keep their value; None resets it."""
        fields, call = split_call(changes)
        request = make(EditAutoModerationRuleRequest, guild_id=guild_id, rule_id=rule_id)
        patch(request, fields)
        return self._write(self.stub.EditAutoModerationRule, request, **call).rule

    def delete_auto_moderation_rule(
        self, guild_id: int, rule_id: int, *, reason: str = "", **call: Unpack[CallArguments]
    ) -> None:
        """Delete an auto moderation rule."""
        request = make(AutoModerationRuleId, guild_id=guild_id, rule_id=rule_id, reason=reason)
        self._write(self.stub.DeleteAutoModerationRule, request, **call)

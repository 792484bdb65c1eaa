# Generated from _async/message/webhook_settings.py by client/generate_sync.py; edit that file and run it again.
"""Calls about webhooks themselves, by the bot or by their token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from discordproxy._requests.checks import make
from discordproxy._requests.compose import patch, split_call
from discordproxy._sync.calls import Calls
from discordproxy.discord_api_pb2 import (
    EditWebhookRequest,
    EditWebhookWithTokenRequest,
    GuildId,
    WebhookId,
    WebhookMessageId,
    WebhookToken,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from discordproxy._requests.arguments import CallArguments
    from discordproxy._requests.settings import WebhookChanges, WebhookChangesWithToken
    from discordproxy.discord_api_pb2 import Message, Webhook


class WebhookSettingsCalls(Calls):
    """Calls about webhooks themselves."""

    def get_webhook(self, webhook_id: int, **call: Unpack[CallArguments]) -> Webhook:
        """Return a webhook."""
        request = make(WebhookId, webhook_id=webhook_id)
        return self._read(self.stub.GetWebhook, request, **call).webhook

    def get_guild_webhooks(self, guild_id: int, **call: Unpack[CallArguments]) -> list[Webhook]:
        """Return the webhooks of a guild."""
        request = make(GuildId, guild_id=guild_id)
        return list(self._read(self.stub.GetGuildWebhooks, request, **call).webhooks)

    def edit_webhook(self, webhook_id: int, **changes: Unpack[WebhookChanges]) -> Webhook:
        """Edit a webhook. Omitted arguments keep their value; None resets it."""
        fields, call = split_call(changes)
        request = make(EditWebhookRequest, webhook_id=webhook_id)
        patch(request, fields)
        return self._write(self.stub.EditWebhook, request, **call).webhook

    def get_webhook_with_token(self, webhook_id: int, webhook_token: str, **call: Unpack[CallArguments]) -> Webhook:
        """Return a webhook by its token, without the user who created it."""
        request = make(WebhookToken, webhook_id=webhook_id, webhook_token=webhook_token)
        return self._read(self.stub.GetWebhookWithToken, request, **call).webhook

    def edit_webhook_with_token(
        self, webhook_id: int, webhook_token: str, **changes: Unpack[WebhookChangesWithToken]
    ) -> Webhook:
        """Edit a webhook by its token. Omitted arguments keep their value; None resets it."""
        fields, call = split_call(changes)
        request = make(EditWebhookWithTokenRequest, webhook_id=webhook_id, webhook_token=webhook_token)
        patch(request, fields)
        return self._write(self.stub.EditWebhookWithToken, request, **call).webhook

    def delete_webhook_with_token(self, webhook_id: int, webhook_token: str, **call: Unpack[CallArguments]) -> None:
        """Delete a webhook by its token."""
        request = make(WebhookToken, webhook_id=webhook_id, webhook_token=webhook_token)
        self._write(self.stub.DeleteWebhookWithToken, request, **call)

    def get_webhook_message(
        self,
        webhook_id: int,
        webhook_token: str,
        message_id: int,
        *,
        thread_id: int | None = None,
        **call: Unpack[CallArguments],
    ) -> Message:
        """Return a message of a webhook; `thread_id` is the thread that contains it."""
        request = make(
            WebhookMessageId,
            webhook_id=webhook_id,
            webhook_token=webhook_token,
            message_id=message_id,
            thread_id=thread_id,
        )
        return self._read(self.stub.GetWebhookMessage, request, **call).message

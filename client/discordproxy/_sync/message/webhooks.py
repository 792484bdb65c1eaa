# Generated from _async/message/webhooks.py by client/generate_sync.py; edit that file and run it again.
"""Calls about webhooks, and requests to any Discord endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from discordproxy._requests.arguments import UNSET
from discordproxy._requests.checks import convert, items, make, to_json
from discordproxy._requests.compose import to_file, whole_message, write_changes, write_message
from discordproxy._sync.calls import Calls
from discordproxy.discord_api_pb2 import (
    ApiRequest,
    ChannelId,
    CreateWebhookRequest,
    EditWebhookMessageRequest,
    ExecuteWebhookRequest,
    WebhookId,
    WebhookMessageId,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from typing_extensions import Unpack

    from discordproxy._requests.arguments import (
        CallArguments,
        EmbedLike,
        FileLike,
        MessageChanges,
        Unset,
        WebhookMessageArguments,
    )
    from discordproxy.discord_api_pb2 import ApiResponse, Message, Webhook


class WebhookCalls(Calls):
    """Calls about webhooks, and `request` for all other endpoints."""

    def create_webhook(
        self,
        channel_id: int,
        name: str,
        *,
        avatar: str | None = None,
        reason: str = "",
        **call: Unpack[CallArguments],
    ) -> Webhook:
        """Create a webhook; `avatar` is a data URI. Keep its `token` secret: it suffices to send messages."""
        request = make(CreateWebhookRequest, channel_id=channel_id, name=name, avatar=avatar, reason=reason)
        return self._write(self.stub.CreateWebhook, request, **call).webhook

    def get_channel_webhooks(self, channel_id: int, **call: Unpack[CallArguments]) -> list[Webhook]:
        """Return the webhooks of a channel."""
        request = make(ChannelId, channel_id=channel_id)
        return list(self._read(self.stub.GetChannelWebhooks, request, **call).webhooks)

    def delete_webhook(self, webhook_id: int, *, reason: str = "", **call: Unpack[CallArguments]) -> None:
        """Delete a webhook."""
        self._write(self.stub.DeleteWebhook, make(WebhookId, webhook_id=webhook_id, reason=reason), **call)

    def execute_webhook(
        self,
        webhook_id: int,
        webhook_token: str,
        content: str = "",
        embed: EmbedLike | None = None,
        **message: Unpack[WebhookMessageArguments],
    ) -> Message:
        """Send a message through a webhook.

        Discord supports no nonce here, so the call is not retried if its outcome is unknown, unless it has an
        `idempotency_key`.

        Args:
            webhook_id: The webhook.
            webhook_token: Token of the webhook.
            content: Text, up to 2000 characters; see `overflow`.
            embed: One embed; for several see `embeds`.
            message: `username`, `avatar_url`, `thread_id`, `files` ...: see WebhookMessageArguments.
        """
        request = make(ExecuteWebhookRequest, webhook_id=webhook_id, webhook_token=webhook_token)
        call = write_message(request, content, embed, message)
        response = self._write(self.stub.ExecuteWebhook, request, **call)
        return whole_message(response)

    def edit_webhook_message(
        self,
        webhook_id: int,
        webhook_token: str,
        message_id: int,
        content: str | Unset | None = UNSET,
        *,
        thread_id: int | None = None,
        **changes: Unpack[MessageChanges],
    ) -> Message:
        """Edit a message of a webhook. Omitted arguments keep their value; None or an empty list removes it."""
        request = make(
            EditWebhookMessageRequest,
            webhook_id=webhook_id,
            webhook_token=webhook_token,
            message_id=message_id,
            thread_id=thread_id,
        )
        call = write_changes(request, content, UNSET, changes)
        return self._write(self.stub.EditWebhookMessage, request, **call).message

    def delete_webhook_message(
        self,
        webhook_id: int,
        webhook_token: str,
        message_id: int,
        *,
        thread_id: int | None = None,
        **call: Unpack[CallArguments],
    ) -> None:
        """Delete a message of a webhook."""
        request = make(
            WebhookMessageId,
            webhook_id=webhook_id,
            webhook_token=webhook_token,
            message_id=message_id,
            thread_id=thread_id,
        )
        self._write(self.stub.DeleteWebhookMessage, request, **call)

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int | Iterable[str | int]] | None = None,
        json: Any = None,
        files: Iterable[FileLike] = (),
        file_field: str = "",
        authorization: str = "",
        reason: str = "",
        **call: Unpack[CallArguments],
    ) -> ApiResponse:
        """Call any Discord endpoint, with the same rate limiting as all other calls.

        Args:
            method: GET, POST, PUT, PATCH or DELETE.
            path: Percent-encoded path without host and query, such as "/guilds/123/audit-logs".
            query: Query parameters; a list repeats the parameter.
            json: The body as Python objects; None: no body.
            files: Files, as for messages.
            file_field: Form field name of a single file. Default: `files[0]`.
            authorization: "Bearer ..." replaces the bot token; "none" sends no authorization.
            reason: Reason for the audit log, up to 512 characters.
            call: `timeout`, `priority`, `max_wait`, `idempotency_key`: see CallArguments.

        Returns:
            `status`, `body` (bytes), `content_type` and `headers` of a successful response.
        """
        request = make(
            ApiRequest,
            method=convert("method", str.upper, method),
            path=path,
            query=convert("query", _parameters, query or {}),
            json="" if json is None else to_json("json", json),
            files=[convert("files", to_file, file) for file in items("files", files)],
            file_field=file_field,
            authorization=authorization,
            reason=reason,
        )
        perform = self._read if request.method == "GET" else self._write
        return perform(self.stub.Request, request, **call)


def _parameters(query: Mapping[str, str | int | Iterable[str | int]]) -> list[ApiRequest.Param]:
    return [
        make(ApiRequest.Param, name=name, value=str(value))
        for name, values in query.items()
        for value in ([values] if isinstance(values, (str, int)) else values)
    ]

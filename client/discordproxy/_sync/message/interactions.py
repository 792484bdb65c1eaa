# Generated from _async/message/interactions.py by client/generate_sync.py; edit that file and run it again.
"""Responses to interactions: slash commands, buttons, select menus and modals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from discordproxy._requests.arguments import UNSET
from discordproxy._requests.checks import choice, convert, make
from discordproxy._requests.compose import write_changes
from discordproxy._sync.calls import Calls
from discordproxy.discord_api_pb2 import CreateInteractionResponseRequest, Message

if TYPE_CHECKING:
    from typing import Literal

    from typing_extensions import Unpack

    from discordproxy._requests.arguments import InteractionArguments, Unset

    Type = Literal["message", "deferred_message", "deferred_update", "update_message"]


class InteractionCalls(Calls):
    """Calls about interactions."""

    def create_interaction_response(
        self,
        interaction_id: int,
        interaction_token: str,
        content: str | Unset | None = UNSET,
        *,
        type: Type = "message",  # noqa: A002 -- Discord's name
        ephemeral: bool = False,
        **message: Unpack[InteractionArguments],
    ) -> Message:
        """Send the initial response to an interaction. It is due within 3 seconds of the interaction's event.

        Args:
            interaction_id: `id` of the interaction.
            interaction_token: `token` of the interaction.
            content: Text, up to 2000 characters.
            type: "message" responds with a message. "deferred_message" and "deferred_update" defer the response by up
                to 15 minutes; send it with `execute_webhook(application_id, interaction_token, ...)`. "update_message"
                edits the message of the button or select menu. For modals and autocompletion use `request`.
            ephemeral: If True, only the user of the interaction sees the response.
            message: `embed`, `files`, `components`, `allowed_mentions` ...: see InteractionArguments.

        Returns:
            The message; empty if the response is deferred.
        """
        request = make(
            CreateInteractionResponseRequest,
            interaction_id=interaction_id,
            interaction_token=interaction_token,
            type=choice("type", CreateInteractionResponseRequest.Type, type),
        )
        if ephemeral:
            message["flags"] = convert("flags", int, message.get("flags") or 0) | Message.EPHEMERAL
        call = write_changes(request, content, UNSET, message)
        return self._write(self.stub.CreateInteractionResponse, request, **call).message

# Generated from _async/interactions.py by client/generate_sync.py; edit that file and run it again.
"""Answers to slash commands, buttons, menus and modals."""

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
    """Answering interactions."""

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
        """Give the first response to an interaction, within three seconds of its event.

        Args:
            interaction_id: `id` of the interaction.
            interaction_token: `token` of the interaction.
            content: The text.
            type: "message" answers; "deferred_message" and "deferred_update" promise an answer within 15 minutes, by
                `execute_webhook(application_id, interaction_token, ...)`; "update_message" changes the message of the
                button or menu. Modals and autocompletion go by `request`.
            ephemeral: True shows the answer to its user only.
            message: `embed`, `files`, `components`, `allowed_mentions` ...: see InteractionArguments.

        Returns:
            The message; an empty one when it is only promised.
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

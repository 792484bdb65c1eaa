# Generated from _async/message/interactions.py by client/generate_sync.py; edit that file and run it again.
"""Responses to interactions: slash commands, buttons, select menus and modals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from discordproxy._requests.arguments import UNSET
from discordproxy._requests.checks import choice, convert, make
from discordproxy._requests.compose import fill, to_choices, write_changes
from discordproxy._sync.calls import Calls
from discordproxy.discord_api_pb2 import (
    CreateInteractionResponseRequest,
    EditInteractionResponseRequest,
    InteractionResponseId,
    Message,
)

if TYPE_CHECKING:
    from typing import Literal

    from typing_extensions import Unpack

    from discordproxy._requests.arguments import CallArguments, InteractionArguments, MessageChanges, Unset

    Type = Literal[
        "message",
        "deferred_message",
        "deferred_update",
        "update_message",
        "autocomplete",
        "modal",
        "launch_activity",
    ]


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
                edits the message of the button or select menu. "autocomplete" suggests `choices`, "modal" shows a form
                (`title`, `custom_id`, `components`), "launch_activity" launches the application's activity.
            ephemeral: If True, only the user of the interaction sees the response.
            message: `embed`, `files`, `components`, `allowed_mentions` ...: see InteractionArguments.

        Returns:
            The message; empty if the response is deferred or is no message.
        """
        request = make(
            CreateInteractionResponseRequest,
            interaction_id=interaction_id,
            interaction_token=interaction_token,
            type=choice("type", CreateInteractionResponseRequest.Type, type),
        )
        if ephemeral:
            message["flags"] = convert("flags", int, message.get("flags") or 0) | Message.EPHEMERAL
        fill(request, {"choices": to_choices(message.pop("choices", ()))})
        call = write_changes(request, content, UNSET, message)
        if type == "modal":
            request.ClearField("flags")  # a modal has components of version 2 without the flag of messages
        return self._write(self.stub.CreateInteractionResponse, request, **call).message

    def get_interaction_response(
        self, application_id: int, interaction_token: str, **call: Unpack[CallArguments]
    ) -> Message:
        """Return the initial response to an interaction, up to 15 minutes after it."""
        request = make(InteractionResponseId, application_id=application_id, interaction_token=interaction_token)
        return self._read(self.stub.GetInteractionResponse, request, **call).message

    def edit_interaction_response(
        self,
        application_id: int,
        interaction_token: str,
        content: str | Unset | None = UNSET,
        **changes: Unpack[MessageChanges],
    ) -> Message:
        """Edit the initial response to an interaction, or send it if it was deferred.

        Omitted arguments keep their value; None or an empty list removes it.

        Args:
            application_id: `application_id` of the interaction.
            interaction_token: `token` of the interaction.
            content: Text, up to 2000 characters.
            changes: `embed`, `files`, `components`, `attachments` ...: see MessageChanges.
        """
        request = make(
            EditInteractionResponseRequest, application_id=application_id, interaction_token=interaction_token
        )
        call = write_changes(request, content, UNSET, changes)
        return self._write(self.stub.EditInteractionResponse, request, **call).message

    def delete_interaction_response(
        self, application_id: int, interaction_token: str, **call: Unpack[CallArguments]
    ) -> None:
        """Delete the initial response to an interaction."""
        request = make(InteractionResponseId, application_id=application_id, interaction_token=interaction_token)
        self._write(self.stub.DeleteInteractionResponse, request, **call)

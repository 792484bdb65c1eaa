"""Defers unanswered interactions, so that the application has 15 minutes instead of 3 s."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from discordproxy_gateway.discord.bot_client import REQUEST_ERRORS
from discordproxy_gateway.events.errors import EventsUnavailableError
from discordproxy_gateway.events.interactions import Deferral, Interactions
from discordproxy_ratelimit.process.tasks import cancel

log = logging.getLogger(__name__)

EXPIRED_S = 3.0
"""Discord accepts the first response within 3 s (receiving and responding to interactions)."""

_EPHEMERAL = 1 << 6  # a flag of messages
_DEFERRED_MESSAGE, _DEFERRED_UPDATE = 5, 6  # types of responses
_COMMAND, _COMPONENT, _MODAL = 2, 3, 5  # types of interactions

Send = Callable[[str, str, dict[str, Any]], Awaitable[None]]
"""Sends a callback: interaction id, token, body. Raises REQUEST_ERRORS if Discord has not accepted it."""


def deferred_response(interaction: dict[str, Any], *, private: bool) -> dict[str, Any] | None:
    """Return the body of a deferral, or None for a kind that cannot be deferred. Pure."""
    kind = interaction.get("type", 0)
    if kind == _COMPONENT or (kind == _MODAL and interaction.get("message")):
        # Of a component or a component's modal: the response can still change its message, or become a follow-up.
        return {"type": _DEFERRED_UPDATE}
    if kind not in {_COMMAND, _MODAL}:  # autocomplete has no deferral
        return None
    return {"type": _DEFERRED_MESSAGE, "data": {"flags": _EPHEMERAL}} if private else {"type": _DEFERRED_MESSAGE}


class Deferrer:
    """Defers interactions after a time.

    Args:
        interactions: the records of first responses.
        send: sends the deferral.
        after_s: time for the application to respond; 0 switches deferring off.
        private: whether the deferred answer is shown to its user only; it cannot be changed later.
    """

    def __init__(self, interactions: Interactions, send: Send, *, after_s: float, private: bool) -> None:
        self._interactions = interactions
        self._send = send
        self._after_s = after_s
        self._private = private
        self._tasks: set[asyncio.Task[None]] = set()

    def on_interaction(self, interaction: dict[str, Any], received_at: float) -> None:
        """Defer an interaction that arrived at loop time `received_at`, unless an application responds first.

        Raises:
            LookupError, TypeError, AttributeError: it differs from Discord's documentation.
        """
        body = deferred_response(interaction, private=self._private)
        if not self._after_s or body is None:
            return
        deferral = Deferral(body["type"], str(interaction.get("application_id", "")))
        interaction_id, token = interaction["id"], interaction["token"]
        if not isinstance(interaction_id, str) or not isinstance(token, str):
            raise TypeError("id and token of an interaction are text")
        task = asyncio.create_task(self._defer(interaction_id, token, body, deferral, received_at))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Cancel pending deferrals."""
        if self._tasks:
            await cancel(*self._tasks)

    async def _defer(
        self, interaction_id: str, token: str, body: dict[str, Any], deferral: Deferral, received_at: float
    ) -> None:
        now = asyncio.get_running_loop().time()
        await asyncio.sleep(max(0.0, received_at + self._after_s - now))
        if asyncio.get_running_loop().time() - received_at > EXPIRED_S:
            return
        try:
            if await self._interactions.defer(interaction_id, deferral):
                await self._send_deferral(interaction_id, token, body, deferral)
        except EventsUnavailableError as error:
            log.warning("interaction %s could not be deferred: %s", interaction_id, error)
        except Exception:
            log.exception("interaction %s could not be deferred", interaction_id)

    async def _send_deferral(self, interaction_id: str, token: str, body: dict[str, Any], deferral: Deferral) -> None:
        try:
            await self._send(interaction_id, token, body)
        except REQUEST_ERRORS as error:
            log.warning("interaction %s could not be deferred: %s", interaction_id, type(error).__name__)
            await self._interactions.release(interaction_id)
        else:
            await self._interactions.confirm_deferral(interaction_id, deferral)

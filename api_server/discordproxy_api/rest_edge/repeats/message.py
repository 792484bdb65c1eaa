"""Sends messages: one whose answer was lost is sent again with the same nonce, so that Discord returns the first."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from discordproxy_api.calls.call import Call
from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.discord.request import Reply, RestRequest
from discordproxy_api.rest_edge.relay import Relay
from discordproxy_api.rest_edge.repeats.unanswered import SlowRequests, UnansweredRequests, Value
from discordproxy_ratelimit.process.tasks import BackgroundTasks


@dataclass(slots=True)
class NoncedMessage:
    """A message that gets a nonce.

    Attributes:
        fingerprint: the same for a repeat of the message.
        nonce: of the message; that of the first one if it is a repeat.
        with_nonce: returns the body with a nonce.
        is_repeat: the answer to the same message before was not delivered.
    """

    fingerprint: str
    nonce: str
    with_nonce: Callable[[str], bytes] = field(repr=False)
    is_repeat: bool = False


class MessageRelay:
    """Sends messages.

    Args:
        background: tasks that outlive their calls.
    """

    def __init__(
        self,
        relay: Relay,
        unanswered: UnansweredRequests,
        slow: SlowRequests,
        metrics: Metrics,
        background: BackgroundTasks,
    ) -> None:
        self._relay = relay
        self._unanswered = unanswered
        self._slow = slow
        self._metrics = metrics
        self._background = background

    async def send(self, request: RestRequest, call: Call, message: NoncedMessage) -> Reply:
        """Send a message; raises as `Relay.send`.

        The nonce of a lost message is read while the request waits for its permit: it costs no time.

        Args:
            request: the message without its body.
            call: for whom.
            message: its nonce and body.
        """
        value = self._unanswered.begin(message.fingerprint)
        call.before_effect = partial(self._complete, request, message, value)
        slow = self._slow.begin(partial(self.keep, message), call)
        try:
            try:
                reply = await self._relay.send(request, call)
            finally:
                was_kept = await self._slow.end(slow)
            if message.is_repeat or was_kept:
                await self._unanswered.forget(message.fingerprint)
        except BaseException:  # the caller may have gone while the first one is forgotten, too
            value.drop()
            if call.sent != "no":
                await asyncio.shield(self._background.start(self.keep(message)))
            raise
        return reply

    async def keep(self, message: NoncedMessage) -> None:
        """Keep the nonce of a message whose answer its caller does not receive."""
        await self._unanswered.keep(message.fingerprint, message.nonce.encode())

    async def _complete(self, request: RestRequest, message: NoncedMessage, value: Value) -> None:
        """Set the body of a message that is about to leave, with the nonce that is now known."""
        earlier = await self._unanswered.finish(message.fingerprint, value)
        if earlier:
            self._metrics.resent.labels("same_nonce").inc()
            message.nonce, message.is_repeat = earlier.decode(), True
        request.body = message.with_nonce(message.nonce)

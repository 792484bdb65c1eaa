"""Sends requests whose answers are passed on, errors included."""

from http import HTTPStatus

import orjson

from discordproxy_api.calls import errors
from discordproxy_api.calls.call import Call
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.discord.request import Reply, RestRequest
from discordproxy_api.discord.rest import Rest
from discordproxy_ratelimit.headers import MIN_BLOCK_S, TOO_MANY, read_answer

BAD_REQUEST = int(HTTPStatus.BAD_REQUEST)


class RelayedError(ApiError):
    """A response of Discord other than 2xx, which the caller gets as it is.

    Attributes:
        reply: the response.
    """

    def __init__(self, error: ApiError, reply: Reply) -> None:
        super().__init__(error.status, error.reason, error.text)
        self.__dict__.update(error.__dict__)
        self.reply = reply

    @property
    def is_from_edge(self) -> bool:
        """Whether Discord's edge answered, not its API."""
        return errors.ANSWERED_BY in self.extras


class Relay:
    """Sends requests whose answers are passed on."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    async def send(self, request: RestRequest, call: Call) -> Reply:
        """Send a request; return Discord's answer.

        Raises:
            RelayedError: its status is 4xx or 5xx.
            ApiError: no permit, or no answer.
        """
        reply = await self._rest.send(request, call, any_status=True)
        if reply.status < BAD_REQUEST:
            return reply
        raise RelayedError(_error_of(reply), reply)


def _error_of(reply: Reply) -> ApiError:
    answer = read_answer(reply.status, reply.headers, reply.body)
    retry_after_s = answer.retry_after_s
    if answer.status == TOO_MANY and not answer.from_discord:  # as long as the broker refuses all calls
        retry_after_s = max(MIN_BLOCK_S, retry_after_s or 0.0)
    return errors.from_answer(answer, reply.headers, reply.body, retry_after_s=retry_after_s)


def pack(reply: Reply) -> bytes:
    """Return the bytes of a reply."""
    return orjson.dumps([reply.status, dict(reply.headers)]) + b"\n" + reply.body


def unpack(packed: bytes) -> Reply:
    """Return the reply of `pack`; raises ValueError for other bytes."""
    head, _, body = packed.partition(b"\n")
    status, headers = orjson.loads(head)
    return Reply(status, headers, body)

"""Sends requests whose answers, errors included, are passed on as they are."""

from http import HTTPStatus

from discordproxy_api.calls import errors
from discordproxy_api.calls.call import Call
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.discord.request import Reply, RestRequest
from discordproxy_api.discord.rest import Rest
from discordproxy_ratelimit.headers import read_answer


class RelayedError(ApiError):
    """A response of Discord other than 2xx, which the caller gets as it is.

    Attributes:
        reply: the response.
    """

    def __init__(self, error: ApiError, reply: Reply) -> None:
        super().__init__(
            error.status,
            error.reason,
            error.text,
            http_status=error.http_status,
            code=error.code,
            retry_after_s=error.retry_after_s,
            scope=error.scope,
            bucket=error.bucket,
            fields=error.fields,
        )
        self.extras = error.extras
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
        if reply.status < HTTPStatus.BAD_REQUEST:
            return reply
        raise RelayedError(_error_of(reply), reply)


def _error_of(reply: Reply) -> ApiError:
    answer = read_answer(reply.status, reply.headers, reply.body)
    return errors.from_answer(answer, reply.headers, reply.body, retry_after_s=answer.retry_after_s)

"""Calls about the users and exceptions of scheduled events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from discordproxy._async.calls import AsyncCalls
from discordproxy._requests.checks import make
from discordproxy._requests.compose import patch, split_call
from discordproxy.discord_api_pb2 import (
    CountScheduledEventUsersRequest,
    CreateScheduledEventExceptionRequest,
    EditScheduledEventExceptionRequest,
    GetScheduledEventRequest,
    ListScheduledEventExceptionUsersRequest,
    ListScheduledEventUsersRequest,
    ScheduledEventExceptionId,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from typing_extensions import Unpack

    from discordproxy._requests.arguments import CallArguments
    from discordproxy._requests.settings import EventExceptionChanges
    from discordproxy.discord_api_pb2 import (
        ScheduledEvent,
        ScheduledEventException,
        ScheduledEventUser,
        ScheduledEventUserCountsResponse,
    )

_USERS_PER_PAGE = 100


class AsyncEventUserCalls(AsyncCalls):
    """Calls about the users and exceptions of scheduled events."""

    async def get_scheduled_event(
        self,
        guild_id: int,
        guild_scheduled_event_id: int,
        *,
        with_user_count: bool = False,
        **call: Unpack[CallArguments],
    ) -> ScheduledEvent:
        """Return a scheduled event. `with_user_count` fills its `user_count`."""
        request = make(
            GetScheduledEventRequest,
            guild_id=guild_id,
            guild_scheduled_event_id=guild_scheduled_event_id,
            with_user_count=with_user_count or None,
        )
        return (await self._read(self.stub.GetScheduledEvent, request, **call)).scheduled_event

    def list_scheduled_event_users(
        self,
        guild_id: int,
        guild_scheduled_event_id: int,
        *,
        with_member: bool | None = None,
        limit: int | None = None,
        **call: Unpack[CallArguments],
    ) -> AsyncIterator[ScheduledEventUser]:
        """Iterate over the users who are interested in a scheduled event, page by page."""

        async def page(size: int, last_id: int | None) -> Sequence[ScheduledEventUser]:
            request = make(
                ListScheduledEventUsersRequest,
                guild_id=guild_id,
                guild_scheduled_event_id=guild_scheduled_event_id,
                with_member=with_member,
                after=last_id,
                limit=size,
            )
            return (await self._read(self.stub.ListScheduledEventUsers, request, **call)).users

        return self._pages(page, lambda user: user.user_id, _USERS_PER_PAGE, limit)

    def list_scheduled_event_exception_users(
        self,
        guild_id: int,
        guild_scheduled_event_id: int,
        guild_scheduled_event_exception_id: int,
        *,
        with_member: bool | None = None,
        limit: int | None = None,
        **call: Unpack[CallArguments],
    ) -> AsyncIterator[ScheduledEventUser]:
        """Iterate over the users who are interested in an exception of a scheduled event, page by page."""

        async def page(size: int, last_id: int | None) -> Sequence[ScheduledEventUser]:
            request = make(
                ListScheduledEventExceptionUsersRequest,
                guild_id=guild_id,
                guild_scheduled_event_id=guild_scheduled_event_id,
                guild_scheduled_event_exception_id=guild_scheduled_event_exception_id,
                with_member=with_member,
                after=last_id,
                limit=size,
            )
            return (await self._read(self.stub.ListScheduledEventExceptionUsers, request, **call)).users

        return self._pages(page, lambda user: user.user_id, _USERS_PER_PAGE, limit)

    async def count_scheduled_event_users(
        self,
        guild_id: int,
        guild_scheduled_event_id: int,
        *,
        guild_scheduled_event_exception_ids: Iterable[int] = (),
        **call: Unpack[CallArguments],
    ) -> ScheduledEventUserCountsResponse:
        """Return the number of users who are interested in a scheduled event, and in up to 10 exceptions."""
        request = make(
            CountScheduledEventUsersRequest,
            guild_id=guild_id,
            guild_scheduled_event_id=guild_scheduled_event_id,
            guild_scheduled_event_exception_ids=guild_scheduled_event_exception_ids,
        )
        return await self._read(self.stub.CountScheduledEventUsers, request, **call)

    async def create_scheduled_event_exception(
        self,
        guild_id: int,
        guild_scheduled_event_id: int,
        original_scheduled_start_time: str,
        *,
        scheduled_start_time: str | None = None,
        scheduled_end_time: str | None = None,
        is_canceled: bool | None = None,
        **call: Unpack[CallArguments],
    ) -> ScheduledEventException:
        """Change or cancel one recurrence of a scheduled event.

        Args:
            guild_id: The guild.
            guild_scheduled_event_id: The recurring event.
            original_scheduled_start_time: Planned start of the recurrence, ISO 8601.
            scheduled_start_time: New start, ISO 8601.
            scheduled_end_time: New end, ISO 8601.
            is_canceled: Whether the recurrence does not take place.
            call: `timeout`, `priority`, `max_wait`, `idempotency_key`: see CallArguments.
        """
        request = make(
            CreateScheduledEventExceptionRequest,
            guild_id=guild_id,
            guild_scheduled_event_id=guild_scheduled_event_id,
            original_scheduled_start_time=original_scheduled_start_time,
            scheduled_start_time=scheduled_start_time,
            scheduled_end_time=scheduled_end_time,
            is_canceled=is_canceled,
        )
        return (await self._write(self.stub.CreateScheduledEventException, request, **call)).exception

    async def edit_scheduled_event_exception(
        self, guild_id: int, guild_scheduled_event_id: int, exception_id: int, **changes: Unpack[EventExceptionChanges]
    ) -> ScheduledEventException:
        """Edit an exception of a scheduled event. Omitted arguments keep their value; None resets it."""
        fields, call = split_call(changes)
        request = make(
            EditScheduledEventExceptionRequest,
            guild_id=guild_id,
            guild_scheduled_event_id=guild_scheduled_event_id,
            exception_id=exception_id,
        )
        patch(request, fields)
        return (await self._write(self.stub.EditScheduledEventException, request, **call)).exception

    async def delete_scheduled_event_exception(
        self, guild_id: int, guild_scheduled_event_id: int, exception_id: int, **call: Unpack[CallArguments]
    ) -> None:
        """Delete an exception: the recurrence takes place as planned."""
        request = make(
            ScheduledEventExceptionId,
            guild_id=guild_id,
            guild_scheduled_event_id=guild_scheduled_event_id,
            exception_id=exception_id,
        )
        await self._write(self.stub.DeleteScheduledEventException, request, **call)

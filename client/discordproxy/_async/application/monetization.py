"""Calls about entitlements and subscriptions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from discordproxy._async.calls import AsyncCalls
from discordproxy._requests.checks import make
from discordproxy.discord_api_pb2 import (
    CreateTestEntitlementRequest,
    EntitlementId,
    ListEntitlementsRequest,
    ListSubscriptionsRequest,
    SubscriptionId,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from typing_extensions import Unpack

    from discordproxy._requests.arguments import CallArguments
    from discordproxy.discord_api_pb2 import Entitlement, Subscription

_ITEMS_PER_PAGE = 100


class AsyncMonetizationCalls(AsyncCalls):
    """Calls about entitlements and subscriptions of the application."""

    def list_entitlements(
        self,
        application_id: int,
        *,
        user_id: int = 0,
        sku_ids: Iterable[int] = (),
        guild_id: int = 0,
        exclude_ended: bool | None = None,
        exclude_deleted: bool | None = None,
        limit: int | None = None,
        **call: Unpack[CallArguments],
    ) -> AsyncIterator[Entitlement]:
        """Iterate over the entitlements of the application, page by page.

        Args:
            application_id: The application.
            user_id: Only of this user; 0: of all.
            sku_ids: Only of these offerings; empty: of all.
            guild_id: Only of this guild; 0: of all.
            exclude_ended: Default: False.
            exclude_deleted: Default: True.
            limit: Maximum number of entitlements; None: all.
            call: `timeout` and the others of CallArguments, for each page.
        """

        async def page(size: int, last_id: int | None) -> Sequence[Entitlement]:
            request = make(
                ListEntitlementsRequest,
                application_id=application_id,
                user_id=user_id,
                sku_ids=sku_ids,
                guild_id=guild_id,
                exclude_ended=exclude_ended,
                exclude_deleted=exclude_deleted,
                after=last_id or 0,
                limit=size,
            )
            return (await self._read(self.stub.ListEntitlements, request, **call)).entitlements

        return self._pages(page, lambda entitlement: entitlement.id, _ITEMS_PER_PAGE, limit)

    async def get_entitlement(
        self, application_id: int, entitlement_id: int, **call: Unpack[CallArguments]
    ) -> Entitlement:
        """Return an entitlement."""
        request = make(EntitlementId, application_id=application_id, entitlement_id=entitlement_id)
        return (await self._read(self.stub.GetEntitlement, request, **call)).entitlement

    async def consume_entitlement(
        self, application_id: int, entitlement_id: int, **call: Unpack[CallArguments]
    ) -> None:
        """Mark a one-time purchase as consumed."""
        request = make(EntitlementId, application_id=application_id, entitlement_id=entitlement_id)
        await self._write(self.stub.ConsumeEntitlement, request, **call)

    async def create_test_entitlement(
        self, application_id: int, sku_id: int, owner_id: int, owner_type: int, **call: Unpack[CallArguments]
    ) -> Entitlement:
        """Create an entitlement for tests; `owner_type` is 1 for a guild, 2 for a user."""
        request = make(
            CreateTestEntitlementRequest,
            application_id=application_id,
            sku_id=sku_id,
            owner_id=owner_id,
            owner_type=owner_type,
        )
        return (await self._write(self.stub.CreateTestEntitlement, request, **call)).entitlement

    async def delete_test_entitlement(
        self, application_id: int, entitlement_id: int, **call: Unpack[CallArguments]
    ) -> None:
        """Delete an entitlement for tests."""
        request = make(EntitlementId, application_id=application_id, entitlement_id=entitlement_id)
        await self._write(self.stub.DeleteTestEntitlement, request, **call)

    def list_subscriptions(
        self, sku_id: int, user_id: int, *, limit: int | None = None, **call: Unpack[CallArguments]
    ) -> AsyncIterator[Subscription]:
        """Iterate over the subscriptions of a user that contain an offering, newest first, page by page."""

        async def page(size: int, last_id: int | None) -> Sequence[Subscription]:
            request = make(ListSubscriptionsRequest, sku_id=sku_id, user_id=user_id, before=last_id, limit=size)
            return (await self._read(self.stub.ListSubscriptions, request, **call)).subscriptions

        return self._pages(page, lambda subscription: subscription.id, _ITEMS_PER_PAGE, limit)

    async def get_subscription(self, sku_id: int, subscription_id: int, **call: Unpack[CallArguments]) -> Subscription:
        """Return a subscription."""
        request = make(SubscriptionId, sku_id=sku_id, subscription_id=subscription_id)
        return (await self._read(self.stub.GetSubscription, request, **call)).subscription

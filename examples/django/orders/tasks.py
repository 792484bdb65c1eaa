"""Celery tasks of the shop."""

from celery import shared_task
from django.conf import settings

from discordproxy.client import DiscordProxyException, DiscordProxyHttpError
from orders.discord import discord_client
from orders.models import Order


@shared_task(bind=True, max_retries=8)
def send_receipt(self, order_id, user_id, text):
    """Send the receipt of an order; a repeated run does not send it again."""
    try:
        message = discord_client().create_direct_message(user_id, text, idempotency_key=f"receipt-{order_id}")
    except DiscordProxyException as ex:
        if isinstance(ex, DiscordProxyHttpError) and ex.status < 500:
            raise  # Discord refused: a retry would fail again
        delay = ex.retry_after or settings.DISCORDPROXY_RETRY_DELAY * 2**self.request.retries
        raise self.retry(exc=ex, countdown=delay) from ex
    Order.objects.filter(pk=order_id).update(receipt_id=message.id)

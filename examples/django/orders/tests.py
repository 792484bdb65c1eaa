"""Tests of the shop, without a proxy, Discord or a network."""

from unittest import mock

from celery.exceptions import Retry
from django.test import TestCase

from discordproxy.client import DiscordProxyHttpError
from discordproxy.testing import FakeDiscordProxy
from orders.models import Order
from orders.tasks import send_receipt

CUSTOMER = 123456789


class ReceiptTests(TestCase):
    """All calls of the shop go to an in-memory fake of the proxy."""

    def setUp(self):
        proxy = FakeDiscordProxy()
        self.proxy = proxy.__enter__()
        self.addCleanup(proxy.__exit__, None, None, None)

    def test_receipt_after_an_order(self):
        with mock.patch.object(send_receipt, "delay", send_receipt), self.captureOnCommitCallbacks(execute=True):
            self.client.post("/orders/", {"customer": CUSTOMER, "article": "Hat"})
        order = Order.objects.get()
        (message,) = self.proxy.direct_messages(CUSTOMER)
        self.assertEqual(message.content, f"Thank you! Order {order.pk}: Hat")
        self.assertEqual(order.receipt_id, message.id)

    def test_customer_who_accepts_no_messages(self):
        self.proxy.fail_http(403, 50007, "Cannot send messages to this user")
        with self.assertRaises(DiscordProxyHttpError):
            send_receipt(1, CUSTOMER, "Thank you!")

    def test_retry_after_a_timeout_sends_nothing_twice(self):
        self.proxy.fail_timeout(delivered=True)
        with self.assertRaises(Retry):
            send_receipt.apply(args=(1, CUSTOMER, "Thank you!"), throw=True)
        send_receipt(1, CUSTOMER, "Thank you!")
        self.assertEqual(len(self.proxy.direct_messages(CUSTOMER)), 1)

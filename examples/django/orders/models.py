"""Database models of the shop."""

from django.db import models


class Order(models.Model):
    """An order of a customer."""

    customer_id = models.BigIntegerField(help_text="Discord ID of the user")
    article = models.CharField(max_length=100)
    receipt_id = models.BigIntegerField(null=True, help_text="ID of the receipt message; null until sent")

    def __str__(self) -> str:
        return f"order {self.pk} of {self.article}"

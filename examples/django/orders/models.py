"""What the shop remembers."""

from django.db import models


class Order(models.Model):
    """What a customer bought."""

    customer_id = models.BigIntegerField(help_text="Discord's id of the user")
    article = models.CharField(max_length=100)
    receipt_id = models.BigIntegerField(null=True, help_text="id of the message with the receipt, once it is sent")

    def __str__(self) -> str:
        return f"order {self.pk} of {self.article}"

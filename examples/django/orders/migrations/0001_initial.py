"""Creates the table of orders."""

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            name="Order",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("customer_id", models.BigIntegerField(help_text="Discord ID of the user")),
                ("article", models.CharField(max_length=100)),
                (
                    "receipt_id",
                    models.BigIntegerField(help_text="ID of the receipt message; null until sent", null=True),
                ),
            ],
        ),
    ]

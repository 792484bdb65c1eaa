"""HTTP views of the shop."""

from django.db import transaction
from django.http import JsonResponse
from django.views.decorators.http import require_POST

from orders.models import Order
from orders.tasks import send_receipt


@require_POST
def place_order(request):
    """Store an order, and send its receipt after the commit."""
    with transaction.atomic():
        order = Order.objects.create(customer_id=request.POST["customer"], article=request.POST["article"])
        text = f"Thank you! Order {order.pk}: {order.article}"
        transaction.on_commit(lambda: send_receipt.delay(order.pk, int(order.customer_id), text))
    return JsonResponse({"order": order.pk})

"""The site. Celery's application is loaded with it, so that `shared_task` finds it."""

from shop.celery import app

__all__ = ["app"]

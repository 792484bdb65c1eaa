"""The site. Imports the Celery application, so that `shared_task` finds it."""

from shop.celery import app

__all__ = ["app"]

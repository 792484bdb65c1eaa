"""Minimal settings of the shop. Values that differ between machines come from the environment."""

import os
from pathlib import Path

DISCORDPROXY_TARGET = os.environ.get("DISCORDPROXY_TARGET", "localhost:50051")
DISCORDPROXY_TIMEOUT = 30  # seconds, including the wait for rate limits
DISCORDPROXY_RETRY_DELAY = float(os.environ.get("SHOP_RETRY_DELAY", "10"))  # seconds, doubled with each attempt

CELERY_BROKER_URL = os.environ.get("SHOP_BROKER_URL", "redis://localhost:6379/1")
CELERY_TASK_ACKS_LATE = True  # run a task again if its worker dies ...
CELERY_TASK_REJECT_ON_WORKER_LOST = True  # ... even if the worker was killed

SECRET_KEY = os.environ.get("SHOP_SECRET_KEY", "insecure: only for local use")
DEBUG = False
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "testserver"]
INSTALLED_APPS = ["orders"]
ROOT_URLCONF = "shop.urls"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("SHOP_DATABASE", Path(__file__).parents[1] / "db.sqlite3"),
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True

"""Settings of the shop: as few as a site can have. What differs between machines comes from the environment."""

import os
from pathlib import Path

DISCORDPROXY_TARGET = os.environ.get("DISCORDPROXY_TARGET", "localhost:50051")
DISCORDPROXY_TIMEOUT = 30  # seconds, waiting for rate limits included
DISCORDPROXY_RETRY_DELAY = float(os.environ.get("SHOP_RETRY_DELAY", "10"))  # seconds, doubled with each attempt

CELERY_BROKER_URL = os.environ.get("SHOP_BROKER_URL", "redis://localhost:6379/1")
CELERY_TASK_ACKS_LATE = True  # a task whose worker dies runs again ...
CELERY_TASK_REJECT_ON_WORKER_LOST = True  # ... even if it was killed

SECRET_KEY = os.environ.get("SHOP_SECRET_KEY", "only for trying it out")
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

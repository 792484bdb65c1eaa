"""Settings of an Alliance Auth site for an application's tests: the application's own, on a private Redis."""

import os

from testauth.settings_aa4 import local
from testauth.settings_aa4.local import *  # noqa: F403 -- how Django's settings build on each other

REDIS = os.environ["LEGACY_REDIS"]
BROKER_URL = f"{REDIS}/0"
CACHES = {**local.CACHES, "default": {**local.CACHES["default"], "LOCATION": f"{REDIS}/1"}}
INSTALLED_APPS = [
    *(app for app in local.INSTALLED_APPS if app not in {"discordnotify", "mailrelay"}),
    os.environ["LEGACY_APP"],
]

"""The one place that knows how the site reaches Discord."""

from django.conf import settings

from discordproxy.client import DiscordClient


def discord_client():
    """Return a client; making one is free, all of them share one connection per process."""
    return DiscordClient(settings.DISCORDPROXY_TARGET, timeout=settings.DISCORDPROXY_TIMEOUT, app="shop")

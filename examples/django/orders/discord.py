"""Creates the client for Discord Proxy."""

from django.conf import settings

from discordproxy.client import DiscordClient


def discord_client():
    """Return a client; creating one is cheap, since all clients of a process share one connection."""
    return DiscordClient(settings.DISCORDPROXY_TARGET, timeout=settings.DISCORDPROXY_TIMEOUT, app="shop")

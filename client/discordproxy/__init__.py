"""Discord Proxy: one Discord bot for all your applications.

It has no imports, so that reading the version does not load gRPC.
"""

__title__ = "Discord Proxy"
__version__ = "2.0.0"

"""Discord Proxy: one Discord bot for all your applications.

This module imports nothing, so that asking for the version stays free of gRPC.
"""

__title__ = "Discord Proxy"
__version__ = "2.0.0"

"""Splitting and truncating of long content, shared with the client's fake proxy."""

from discordproxy.overflow import ELLIPSIS, split, truncate, units

__all__ = ["ELLIPSIS", "split", "truncate", "units"]

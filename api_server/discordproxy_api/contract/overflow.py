"""What to do with content that is longer than a message; the client's fake proxy does the same with it."""

from discordproxy.overflow import ELLIPSIS, split, truncate, units

__all__ = ["ELLIPSIS", "split", "truncate", "units"]

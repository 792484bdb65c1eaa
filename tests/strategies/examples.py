"""The number of random examples of property tests that run for every RPC; EXAMPLES multiplies it."""

import os

from hypothesis import settings

FACTOR = float(os.environ.get("EXAMPLES", "1"))


def examples(count: int) -> settings:
    """Return settings for `count` examples, times EXAMPLES. A few for each of 200 RPCs are many for what they share."""
    return settings(max_examples=max(1, round(count * FACTOR)), deadline=None)

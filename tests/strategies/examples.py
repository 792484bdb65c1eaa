"""The number of random examples of property tests; EXAMPLES multiplies it."""

import os
from typing import Any

from hypothesis import settings

FACTOR = float(os.environ.get("EXAMPLES", "1"))
DEFAULT = 100
"""Examples of a test that names no number."""


def times_examples(count: int) -> int:
    """Return `count`, times EXAMPLES."""
    return max(1, round(count * FACTOR))


def examples(count: int, **options: Any) -> settings:
    """Return settings for `count` examples, times EXAMPLES. A few for each of 200 RPCs are many for what they share."""
    return settings(max_examples=times_examples(count), deadline=None, **options)

"""The order in which the processes of pytest-xdist take the modules: those that wait beside those that compute.

A test of whole servers waits for their starts, limits and ends most of the time; a unit test computes. Of two
processes, one begins with the former and the other with the latter, so that a core is rarely idle and rarely shared.
"""

from typing import Any

from xdist.scheduler import LoadScopeScheduling

FOLDERS = (
    *("tests/e2e/", "tests/documentation/", "tests/integration/redis/", "tests/integration/client/"),
    *("tests/integration/gateway/", "tests/integration/ratelimit/", "tests/integration/events/"),
    *("tests/integration/sandbox/", "tests/integration/api/", "tests/integration/", "tests/simulation/"),
    *("tests/contract/", "tests/unit/", "tests/"),
)
"""From the folder that waits most to the one that computes most."""


def place_of(scope: str) -> tuple[int, str]:
    """Return the place of a module in the order."""
    return next((place for place, folder in enumerate(FOLDERS) if scope.startswith(folder)), len(FOLDERS)), scope


class FromBothEnds(LoadScopeScheduling):
    """Gives a process one module after the other; every second process takes them from the end of the order."""

    def _assign_work_unit(self, node: Any) -> None:
        choose = max if self.nodes.index(node) % 2 else min
        self.workqueue.move_to_end(choose(self.workqueue, key=place_of), last=False)
        super()._assign_work_unit(node)

"""Workers behind the balancers of deploy/: a rolling restart under load without a failed call.

`make bench-rolling` does the same for longer, with 200 calls/s, and behind Envoy, too.
"""

from pathlib import Path

import pytest

from processes.balancers import BALANCERS
from processes.rolling import rolling_restart


@pytest.mark.parametrize("balancer", ["nginx", "haproxy"])
async def test_a_rolling_restart_fails_no_call_and_doubles_none(balancer: str, valkey: str, tmp_path: Path) -> None:
    outcome = await rolling_restart(BALANCERS[balancer], valkey, tmp_path, calls_per_s=50)
    assert outcome.restarts == 2
    assert not outcome.failed, outcome
    assert not outcome.doubled, outcome
    assert not outcome.lost, outcome

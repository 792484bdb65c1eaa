"""A short run of `make chaos`: processes die, Redis stops, Discord breaks off, and every answer is true."""

import pytest

from chaos.run import chaos, report

DISTURBANCES = (
    *("kill worker", "stop worker", "kill redis", "stop redis", "kill fork server"),
    *("discord: reset after", "discord: reset before", "discord: status after", "discord: truncated after"),
)


@pytest.mark.smoke
@pytest.mark.timeout(300)
async def test_every_caller_receives_a_true_result(tmp_path_factory: pytest.TempPathFactory) -> None:
    result = await chaos(6.0, 7, tmp_path_factory.mktemp("c"), only=DISTURBANCES)
    assert result.good, report(result)
    assert result.disturbances
    assert sum(row["ok"] for row in result.ways)

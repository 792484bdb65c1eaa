"""The limit of open files bounds the connections, and is a warning only if few are possible."""

import logging
import resource

import pytest

from discordproxy_api.http.descriptors import possible_connections


@pytest.mark.parametrize(
    ("files", "connections", "level"),
    [(30_000, 10_000, None), (20_000, 9_822, logging.INFO), (1_024, 334, logging.WARNING)],
)
def test_few_possible_connections_are_a_warning(files, connections, level, monkeypatch, caplog):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
    with caplog.at_level(logging.INFO):
        assert possible_connections(10_000, 2) == connections
    assert [record.levelno for record in caplog.records] == [level] * (level is not None)

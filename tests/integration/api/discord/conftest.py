"""Event loops of these tests: uvloop, as in production; tests of connections also run on asyncio's loop."""

import asyncio

import pytest
import uvloop

CONNECTIONS = {"test_http1_connecting.py", "test_http1_odd_servers.py"}
"""Modules whose subject depends on the loop's transports."""


@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories(config, item):
    factories = {"uvloop": uvloop.new_event_loop}
    return {"asyncio": asyncio.new_event_loop, **factories} if item.path.name in CONNECTIONS else factories

"""Requests of web sites are refused where no key is needed."""

import pytest

from discordproxy_api.http.browsers import browser_refusal

HOSTS = frozenset({"discordproxy"})


@pytest.mark.parametrize(
    ("headers", "refused"),
    [
        ({}, False),
        ({"host": "localhost:50052"}, False),
        ({"host": "127.0.0.1"}, False),
        ({"host": "[::1]:50052"}, False),
        ({"host": "10.0.0.7:50052"}, False),
        ({"host": "discordproxy:50052"}, False),
        ({"host": "evil.example"}, True),
        ({"host": "127.0.0.1.evil.example"}, True),
        ({"host": "localhost.evil.example"}, True),
        ({"host": "["}, True),
        ({"host": ""}, True),
        ({"host": "localhost", "origin": "https://evil.example"}, True),
        ({"host": "localhost", "origin": "null"}, True),
        ({"host": "localhost", "sec-fetch-site": "cross-site"}, True),
        ({"host": "localhost", "sec-fetch-site": "same-site"}, True),
        ({"host": "localhost", "sec-fetch-site": "none"}, False),
    ],
)
def test_requests_of_web_sites(headers, refused):
    assert bool(browser_refusal(headers, HOSTS)) is refused

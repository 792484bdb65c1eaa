"""The health check of the image: status 0 if the worker of the container is ready, with TLS or without."""

import os
import ssl
import sys
from http import HTTPStatus
from http.client import HTTPConnection, HTTPSConnection

port = int(os.environ["DISCORDPROXY_HTTP_PORT"])
host = os.environ.get("DISCORDPROXY_HOST", "").strip().strip("[]")
if host in {"", "0.0.0.0", "::"}:
    host = "127.0.0.1"
if os.environ.get("DISCORDPROXY_TLS_CERT"):
    own = ssl._create_unverified_context()  # noqa: S323, SLF001 -- its own certificate, under another name
    connection = HTTPSConnection(host, port, timeout=3, context=own)
else:
    connection = HTTPConnection(host, port, timeout=3)
try:
    connection.request("GET", "/readyz")
    response = connection.getresponse()
except OSError as error:
    sys.exit(f"no response: {error}")
print(response.read().decode())
sys.exit(response.status != HTTPStatus.OK)

"""Names of gRPC in the code must be in the library: it ignores unknown options, and private names may be renamed."""

import re
from pathlib import Path

import pytest
from grpc._cython import cygrpc
from grpc.aio._call import UnaryStreamCall, UnaryUnaryCall

SOURCES = Path(__file__).parents[3]
_OPTION = re.compile(r"\"(grpc\.[a-z0-9_.]+)\"")


@pytest.mark.parametrize("package", ["api_server", "client"])
def test_every_option_is_known_to_grpc(package):
    library = Path(cygrpc.__file__).read_bytes()
    names = {name for path in (SOURCES / package).rglob("*.py") for name in _OPTION.findall(path.read_text())}
    assert len(names) > 5
    assert [name for name in sorted(names) if f"{name}\0".encode() not in library] == []


@pytest.mark.parametrize("kind", [UnaryStreamCall, UnaryUnaryCall])
def test_the_client_can_cancel_a_call_without_its_task(kind):
    """Otherwise it uses `cancel`, which loses memory."""
    assert callable(kind._cancel)

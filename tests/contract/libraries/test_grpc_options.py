"""gRPC ignores an option whose name it does not know, without a word: each name in the code must be in the library."""

import re
from pathlib import Path

import pytest
from grpc._cython import cygrpc

SOURCES = Path(__file__).parents[3]
_OPTION = re.compile(r"\"(grpc\.[a-z0-9_.]+)\"")


@pytest.mark.parametrize("package", ["api_server", "client"])
def test_every_option_is_known_to_grpc(package):
    library = Path(cygrpc.__file__).read_bytes()
    names = {name for path in (SOURCES / package).rglob("*.py") for name in _OPTION.findall(path.read_text())}
    assert len(names) > 5
    assert [name for name in sorted(names) if f"{name}\0".encode() not in library] == []

"""Lua unpacks about 8000 values at once: no script unpacks a list whose length a caller determines."""

import re
from importlib.resources import files
from pathlib import Path

import pytest

FOLDERS = {package: Path(str(files(package))) / "lua" for package in ("discordproxy_gateway", "discordproxy_ratelimit")}
SCRIPTS = {
    f"{package}/{path.name}": path.read_text("utf-8")
    for package, folder in FOLDERS.items()
    for path in folder.rglob("*.lua")
}

SHORT = {
    "discordproxy_gateway/apply.lua": ["unpack(op, 3)", "unpack(cmsgpack.unpack(ARGV[7]))"],  # an entry, a session
    "discordproxy_gateway/read.lua": ["unpack(command)"],  # at most a page of members
}
"""Lists that are short by themselves."""


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_unpack_is_bounded(name):
    code = re.sub(r"--.*", "", SCRIPTS[name])
    calls = re.findall(r"(?<![\w.])unpack\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)", code)
    assert len(calls) == len(re.findall(r"(?<![\w.])unpack\(", code))
    unbounded = [call for call in calls if not re.search(r", math\.min\(\w+ \+ SLICE - 1, #\w+\)\)$", call)]
    assert sorted(unbounded) == sorted(SHORT.get(name, [])), "call_in_slices of lua/write.lua takes lists of any length"

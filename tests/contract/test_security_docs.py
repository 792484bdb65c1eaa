"""The examples about keys and certificates work: commands make valid files, tables match the code."""

import os
import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from discordproxy_api.access.key_file import read_key_file
from discordproxy_api.access.keys import KeyEntry, read_keys
from discordproxy_api.contract.contract import load_contract
from discordproxy_api.tls import TlsFiles, read_certificates
from discordproxy_ratelimit.process.bot_config import read_bots
from processes.deployment import COMMANDS

DOCS = Path(__file__).parents[2] / "docs"
DOCUMENT = (DOCS / "security.md").read_text()
SEVERAL_BOTS = (DOCS / "guides" / "several-bots.md").read_text()
RPCS = tuple(load_contract())


def blocks(language: str, document: str = DOCUMENT) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", document, re.DOTALL)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="NOT TESTED: the recipe needs openssl")
def test_the_recipe_makes_files_that_can_be_served(tmp_path: Path) -> None:
    recipe = blocks("bash", (DOCS / "deploy.md").read_text())
    commands = [block for block in recipe if "openssl" in block or "keys new" in block]
    assert len(commands) == 2
    (tmp_path / "venv").symlink_to(COMMANDS.parent)
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    script = "\n".join(["set -e", *commands])
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    files = TlsFiles(tmp_path / "server.pem", tmp_path / "server.key", tmp_path / "authority.pem")
    assert read_certificates(files, datetime.now(UTC))
    assert [each.app for each in read_key_file(tmp_path / "keys.toml", rpcs=RPCS).principals] == ["srp"]
    key = next(line for line in done.stdout.splitlines() if line.startswith("dpk_"))
    assert key not in (tmp_path / "keys.toml").read_text()


def test_the_examples_of_key_files_are_valid() -> None:
    written = [*blocks("toml"), *blocks("toml", SEVERAL_BOTS)]
    examples = [re.sub(r'"(\w{4})\.\.\."', lambda found: f'"{found[1] * 16}"', block) for block in written]
    keys = [read_keys(block, rpcs=RPCS, bots=None).principals for block in examples if "[[keys]]" in block]
    assert [each.app for principals in keys for each in principals] == ["srp", "mailrelay", "corp-tools"]


def test_the_example_of_a_bots_file_is_valid(tmp_path: Path) -> None:
    (block,) = (block for block in blocks("toml", SEVERAL_BOTS) if "[[bots]]" in block)
    for name in ("alliance", "corporation"):
        (tmp_path / f"{name}.token").write_text(f"token-of-{name}")
    path = tmp_path / "bots.toml"
    path.write_text(block)
    assert [bot.name for bot in read_bots(path)] == ["alliance", "corporation"]


def test_every_setting_of_a_key_is_described() -> None:
    table = DOCUMENT.partition("| setting | meaning |")[2].partition("\n\n")[0]
    described = set(
        re.findall(r"`(\w+)`", "\n".join(line.split("|")[1] for line in table.splitlines()[1:] if "|" in line))
    )
    assert described == set(KeyEntry.model_fields)

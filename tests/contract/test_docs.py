"""Documents agree with the code: settings, commands, linked files."""

import re
from pathlib import Path

import pytest

from discordproxy_api.settings import ApiSettings
from discordproxy_api.supervisor import parser
from discordproxy_gateway.settings import GatewaySettings
from discordproxy_ratelimit.settings import PREFIX, SharedSettings
from reference.settings_page import SECTIONS, default, variable

ROOT = Path(__file__).parents[2]
ENV_EXAMPLE = ROOT / ".env.example"
REWRITE = "PYTHONPATH=docs/generate .venv/bin/python tests/contract/test_docs.py"


def documented() -> str:
    """The file .env.example as the Settings classes have it."""
    lines = [
        "# Settings of Discord Proxy. Copy this file to .env and change what you need; the environment wins over it.",
        "# Each line shows the default. Keep the quotes: some launchers cut unquoted values at a #.",
        "# Not here, but in the environment: HTTPS_PROXY, ALL_PROXY, NO_PROXY (an HTTP proxy on the way to Discord).",
    ]
    seen: set[str] = set()
    for title, kind in SECTIONS:
        lines += ["", f"# {title}"]
        for name, field in kind.model_fields.items():
            if name in seen:
                continue
            seen.add(name)
            lines += [f"# {field.description}", f"#{variable(name, field)}='{default(field)}'"]
    return "\n".join(lines) + "\n"


def test_env_example_shows_every_setting_with_its_default() -> None:
    assert ENV_EXAMPLE.read_text() == documented(), f"run: {REWRITE}"


@pytest.mark.parametrize("kind", [kind for _, kind in SECTIONS])
def test_every_setting_is_described_in_one_line(kind: type[SharedSettings]) -> None:
    for name, field in kind.model_fields.items():
        assert field.description, f"{kind.__name__}.{name} has no description"
        assert len(field.description) <= 160, f"{kind.__name__}.{name}"
        assert "\n" not in field.description


def test_no_two_processes_mean_different_things_by_one_setting() -> None:
    shared = set(SharedSettings.model_fields)
    assert not (set(ApiSettings.model_fields) & set(GatewaySettings.model_fields)) - shared


def documents() -> list[Path]:
    return [*ROOT.glob("*.md"), *ROOT.glob("*/README.md"), *ROOT.glob("docs/**/*.md")]


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_files_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", path.read_text()):
        assert (path.parent / target).exists(), f"{path.relative_to(ROOT)} points at {target}"


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_settings_and_make_targets_that_documents_name_exist(path: Path) -> None:
    text = path.read_text()
    targets = set(re.findall(r"^([a-z%-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for target in re.findall(r"`make ([a-z][a-z-]*)", text):
        assert target in targets or target.startswith("bench-"), f"make {target}"
    known = {PREFIX + name.upper() for _, kind in SECTIONS for name in kind.model_fields} | CLIENT_VARIABLES
    known |= set(re.findall(rf"^({PREFIX}[A-Z_]+) = ", text, re.MULTILINE))  # an application's own
    for name in re.findall(rf"\b{PREFIX}[A-Z_]+\b", text):
        assert name in known, name


CLIENT_VARIABLES = {f"DISCORDPROXY_{name}" for name in ("TARGET", "API_KEY", "APP", "CA", "CERT", "CERT_KEY")}


def test_the_server_command_has_its_documented_options() -> None:
    options = {option for action in parser()._actions for option in action.option_strings}
    assert options == {
        "-h",
        "--help",
        "--version",
        "--token",
        "--host",
        "--port",
        "--workers",
        "--sandbox",
        "--log-console-level",
        "--log-file-level",
        "--log-file-path",
    }


def test_the_procfile_starts_every_process_in_place() -> None:
    lines = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
    assert lines == {
        "broker": "exec python -m discordproxy_ratelimit",
        "gateway": "exec python -m discordproxy_gateway --park-on-fatal",
        "api": "exec python -m discordproxy_api",
    }


if __name__ == "__main__":
    ENV_EXAMPLE.write_text(documented())

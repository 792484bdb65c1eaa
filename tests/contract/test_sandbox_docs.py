"""The sandbox's README names every setting, fault, limit kind and control action."""

from pathlib import Path
from typing import get_args

import pytest

from discordproxy_sandbox.rest.faults import FaultKind
from discordproxy_sandbox.sandbox import Sandbox
from discordproxy_sandbox.settings import Settings

README = (Path(__file__).parents[2] / "sandbox" / "README.md").read_text()
ACTIONS = [(topic, action) for topic, actions in Sandbox()._control._actions.items() for action in actions]


@pytest.mark.parametrize("name", Settings.model_fields)
def test_settings_are_documented(name):
    assert f"`SANDBOX_{name.upper()}`" in README


@pytest.mark.parametrize("kind", get_args(FaultKind))
def test_faults_are_documented(kind):
    assert f"`{kind}`" in README


@pytest.mark.parametrize(("topic", "action"), ACTIONS)
def test_actions_are_documented(topic, action):
    row = next(line for line in README.splitlines() if line.startswith(f"| `/_sandbox/{topic}`"))
    assert f"`{action}`" in row

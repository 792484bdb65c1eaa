"""The documented metrics are the exported ones, and dashboard and alerts use existing ones."""

import json
import re
from pathlib import Path

import promql_parser
import pytest
import yaml
from prometheus_client import generate_latest

from discordproxy_api.calls.metrics import MAX_APPS, MAX_TEMPLATES, OTHER, Metrics
from discordproxy_api.status.gateway_metrics import _COUNTERS, _GAUGES, _OF_BOT, PREFIX, GatewayMetrics
from discordproxy_ratelimit.metrics import Decisions

ROOT = Path(__file__).parents[2]
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
MACROS = {"$__rate_interval": "5m", "$job": ".*"}


def exported() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Name as documented -> type and labels."""
    metrics = Metrics()
    Decisions(metrics.registry)
    found = {}
    for family in metrics.registry.collect():
        owner = family if hasattr(family, "_labelnames") else metrics.registry._names_to_collectors[family.name]
        name = family.name + ("_total" if family.type == "counter" else "")
        found[name] = family.type, tuple(owner._labelnames)
    found |= {PREFIX + name: ("gauge", ("bot",)) for name in _OF_BOT}
    found |= {PREFIX + name: ("gauge", ("bot", "shard")) for name in _GAUGES}
    found |= {f"{PREFIX}{name}_total": ("counter", ("bot", "shard")) for name in _COUNTERS}
    return found


def test_the_table_of_metrics_is_what_workers_export() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| (\w+) \| ([^|]*)\| (.+) \|$", (ROOT / "docs/operations.md").read_text(), re.MULTILINE
    )
    documented = {name: (kind, tuple(re.findall(r"\w+", labels))) for name, kind, labels, _ in rows}
    assert documented == exported()
    assert len(rows) == len(documented)


def test_gateway_metrics_have_the_names_the_table_is_checked_against() -> None:
    families = {family.name for family in GatewayMetrics().collect()}
    assert families == {PREFIX + name for name in (*_OF_BOT, *_GAUGES, *_COUNTERS)}


def expressions() -> list[tuple[str, str]]:
    """Where, and what is asked of Prometheus."""
    rules = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())
    found = [(rule["alert"], rule["expr"]) for group in rules["groups"] for rule in group["rules"]]
    dashboard = json.loads((ROOT / "deploy/grafana/dashboard.json").read_text())
    panels = (panel for panel in dashboard["panels"] if panel["type"] != "row")
    return found + [(panel["title"], target["expr"]) for panel in panels for target in panel["targets"]]


@pytest.mark.parametrize(("where", "expression"), expressions())
def test_dashboard_and_alerts_ask_for_what_exists(where: str, expression: str) -> None:
    for macro, value in MACROS.items():
        expression = expression.replace(macro, value)
    promql_parser.parse(expression)  # raises on a mistake
    known = {
        name.removesuffix("_total") + suffix for name, (kind, _) in exported().items() for suffix in SUFFIXES[kind]
    }
    used = re.findall(r"discordproxy_\w+", expression)
    assert used
    assert set(used) <= known
    labels = {name: labels for name, (_, labels) in exported().items()}
    for name, selector in re.findall(r"(discordproxy_\w+)\{([^}]*)\}", expression):
        base = re.sub("_(bucket|sum|count)$", "", name)
        assert set(re.findall(r"(\w+)\s*(?:=~|!=|=)", selector)) <= {*labels[base], "job"}


def test_every_alert_says_what_to_do() -> None:
    rules = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())
    for rule in rules["groups"][0]["rules"]:
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert len(rule["annotations"]["description"]) > 20, rule["alert"]


def test_panels_of_the_dashboard_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads((ROOT / "deploy/grafana/dashboard.json").read_text())["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_callers_cannot_make_more_and_more_series() -> None:
    metrics = Metrics()
    for number in range(1000):
        metrics.finished.add(("X", "OK", metrics.app(f"app{number}"), "", "grpc"), 0.1)
        metrics.requested(f"GET /x{number}", 200, 0.1)
    text = generate_latest(metrics.registry).decode()
    assert text.count("discordproxy_app_calls_total{") == MAX_APPS + 1
    assert text.count("discordproxy_discord_requests_total{") == MAX_TEMPLATES + 1
    assert f'app="{OTHER}"' in text

"""Alerts and graphs are on names that the servers really expose."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from dashboard.counters import REGISTRY
from serving.operations.metrics import Metrics
from tests.k8s.manifests import ROOT, overlay, pod

# Exposed by Prometheus itself and by kube-state-metrics (docs of version 2.15), not by us.
CLUSTER = {"up", "kube_pod_status_ready", "kube_job_status_failed"}
NAME = re.compile(r"(?<![\w:\"])(:?[a-z_][a-z0-9_:]*)(?=\s*[{\[)]|\s*(?:==|>|<|$))")
FUNCTIONS = {
    "sum", "rate", "by", "histogram_quantile", "max", "absent", "increase", "and", "label_values", "namespace",
}  # fmt: skip


def _rules() -> list[dict[str, Any]]:
    groups = overlay("prod").one("PrometheusRule", "melanosizer")["spec"]["groups"]
    return [rule for group in groups for rule in group["rules"]]


def _board() -> dict[str, Any]:
    held: dict[str, Any] = json.loads(
        overlay("prod").one("ConfigMap", "grafana-melanosizer")["data"]["melanosizer.json"]
    )
    return held


def _board_expressions() -> list[str]:
    return [target["expr"] for panel in _board()["panels"] for target in panel["targets"]]


def _exposed() -> set[str]:
    names = set(CLUSTER)
    for line in Metrics().page().splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            names |= (
                {f"{name}{end}" for end in ("_bucket", "_sum", "_count")} if kind == "histogram" else {name}
            )
    for family in REGISTRY.collect():
        if family.type == "histogram":
            names |= {f"{family.name}{end}" for end in ("_bucket", "_sum", "_count")}
        else:
            names.add(f"{family.name}_total" if family.type == "counter" else family.name)
    return names


def _metrics(expression: str) -> set[str]:
    bare = re.sub(r'"[^"]*"', '""', expression)
    bare = re.sub(r"\b(by|on|without)\s*\([^)]*\)", "", bare)
    bare = re.sub(r"\{[^}]*\}", "{}", bare)
    found = set(NAME.findall(bare)) - FUNCTIONS
    return {name for name in found if not re.fullmatch(r"\d.*|e\d+", name)}


def test_names_are_read_out_of_an_expression() -> None:
    expression = (
        'sum by (le) (rate(:tensorflow:serving:request_latency_bucket{status!~"OK|x"}[5m])) > 1e6 and up == 1'
    )
    assert _metrics(expression) == {":tensorflow:serving:request_latency_bucket", "up"}


@pytest.mark.parametrize(
    "rule", _rules() if shutil.which("kubectl") or shutil.which("kustomize") else [], ids=lambda r: r["alert"]
)
def test_alert(rule: dict[str, Any]) -> None:
    metrics = _metrics(rule["expr"])
    assert metrics
    assert metrics <= _exposed()
    assert rule["labels"]["severity"] in ("warning", "critical")
    assert {"summary", "description", "action"} <= rule["annotations"].keys()


def test_what_must_be_alerted_on() -> None:
    assert {"ModelErrors", "ModelSlow", "ModelNotAvailable", "DevicesSilent"} <= {
        one["alert"] for one in _rules()
    }


def test_graphs() -> None:
    expressions = _board_expressions()
    assert len(expressions) >= 8
    for expression in expressions:
        assert _metrics(expression) <= _exposed(), expression
    held = overlay("prod").one("ConfigMap", "grafana-melanosizer")
    assert held["metadata"]["labels"]["grafana_dashboard"] == "1"


def test_labels_exist() -> None:
    metrics = Metrics()
    assert metrics.request_count.labels == ("model_name", "status")
    route = "/api/v1/devices/{device_id}/heartbeat"
    from dashboard.gateway.devices import router

    assert route in {getattr(one, "path", "") for one in router.routes}
    assert any(route in rule["expr"] for rule in _rules())


def test_prometheus_scrapes_ports_that_are_there() -> None:
    rendered = overlay("prod")
    for monitor, kind in (("PodMonitor", "podMetricsEndpoints"), ("ServiceMonitor", "endpoints")):
        (one,) = rendered.all(monitor)
        owner = one["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"]
        spec = pod(rendered.one("Deployment", owner))["spec"]
        ports = {port["name"] for container in spec["containers"] for port in container.get("ports", [])}
        assert {end["port"] for end in one["spec"][kind]} <= ports


def test_expressions_are_promql(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not here (Debian: apt-get install prometheus)")
    file = tmp_path / "rules.yaml"
    spec = yaml.safe_load((ROOT / "k8s/components/monitoring/rules.yaml").read_text())["spec"]
    # A graph's expression is checked as a recording rule, with Grafana's variables filled in.
    graphs = [
        {
            "record": f"graph:{number}",
            "expr": text.replace("$__rate_interval", "5m").replace("$namespace", "x"),
        }
        for number, text in enumerate(_board_expressions())
    ]
    spec["groups"].append({"name": "graphs", "rules": graphs})
    file.write_text(yaml.safe_dump(spec))
    done = subprocess.run(
        [promtool, "check", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr

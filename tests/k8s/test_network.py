"""Nothing talks but what is listed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.k8s.manifests import OVERLAYS, Rendered, everything, overlay, pod


@pytest.fixture(params=[*OVERLAYS, "everything"])
def rendered(request: pytest.FixtureRequest) -> Rendered:
    return everything() if request.param == "everything" else overlay(request.param)


def _policy(rendered: Rendered, name: str) -> dict[str, Any]:
    spec: dict[str, Any] = rendered.one("NetworkPolicy", name)["spec"]
    return spec


def _ports(rules: list[dict[str, Any]]) -> set[int]:
    return {port["port"] for rule in rules for port in rule["ports"]}


def test_default_is_nothing_in_or_out(rendered: Rendered) -> None:
    spec = _policy(rendered, "default-deny")
    assert spec == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_every_rule_names_its_ports(rendered: Rendered) -> None:
    for policy in rendered.all("NetworkPolicy"):
        for rule in [*policy["spec"].get("ingress", []), *policy["spec"].get("egress", [])]:
            assert rule["ports"], policy["metadata"]["name"]


def test_servers_ask_nobody(rendered: Rendered) -> None:
    spec = _policy(rendered, "tf-serving")
    assert spec["policyTypes"] == ["Ingress"]
    assert "egress" not in spec


def test_only_mutual_tls_is_open_to_anybody(rendered: Rendered) -> None:
    everybody = [
        rule
        for policy in rendered.all("NetworkPolicy")
        for rule in policy["spec"].get("ingress", [])
        if "from" not in rule
    ]
    assert _ports(everybody) == {8443}


def test_who_reaches_the_servers_in_plain_text(rendered: Rendered) -> None:
    spec = _policy(rendered, "tf-serving")
    asking = [
        peer["podSelector"]
        for rule in spec["ingress"]
        if 8500 in {port["port"] for port in rule["ports"]}
        for peer in rule["from"]
    ]
    named = [one["matchLabels"]["app.kubernetes.io/name"] for one in asking if "matchLabels" in one]
    assert named == ["dashboard", "smoke-prediction", "registry-settle"]
    steps = {"matchExpressions": [{"key": "workflows.argoproj.io/workflow", "operator": "Exists"}]}
    assert [one for one in asking if "matchLabels" not in one] == [steps]


def test_steps_reach_what_a_run_asks_on_the_pods_own_ports(rendered: Rendered) -> None:
    """Policies act on the pod's port, not the service's: KFP 2.17's SeaweedFS listens on 8333 behind 9000."""
    # Of KFP 2.17's manifests: ml-pipeline 8887 and 8888, metadata-grpc 8080, MinIO 9000, SeaweedFS 8333.
    assert {8080, 8333, 8500, 8887, 8888, 9000, 443, 6443, 53} == _ports(
        _policy(rendered, "pipeline-steps")["egress"]
    )


def test_every_port_of_a_service_is_open_to_somebody(rendered: Rendered) -> None:
    opened = {name: _ports(_policy(rendered, name)["ingress"]) for name in ("tf-serving", "dashboard")}
    for service in rendered.all("Service"):
        owner = service["spec"]["selector"]["app.kubernetes.io/name"]
        containers = pod(rendered.one("Deployment", owner))["spec"]["containers"]
        numbers = {p["name"]: p["containerPort"] for one in containers for p in one.get("ports", [])}
        assert {numbers[port["targetPort"]] for port in service["spec"]["ports"]} <= opened[owner]


def test_the_dashboard_reaches_what_its_settings_name(rendered: Rendered) -> None:
    ports = _ports(_policy(rendered, "dashboard")["egress"])
    assert {8500, 8501, 53} <= ports
    assert 443 not in ports


def test_egress_without_a_destination_is_for_labelled_pods_only(rendered: Rendered) -> None:
    wide = [
        policy["metadata"]["name"]
        for policy in rendered.all("NetworkPolicy")
        if any("to" not in rule for rule in policy["spec"].get("egress", []))
    ]
    assert wide == ["object-store", "pipeline-steps"]
    for workload in rendered.workloads():
        labels = pod(workload)["metadata"]["labels"]
        copies = any(
            one.owner == workload["metadata"]["name"] and one.spec["name"] == "copy"
            for one in rendered.containers()
        )
        assert (labels.get("melanosizer/object-store") == "client") == copies

"""What every pod must be: restricted, without privileges, with a probe, a limit and an account of its own."""

from __future__ import annotations

import re

import pytest

from tests.k8s.manifests import OVERLAYS, Container, Rendered, everything, overlay, pod


@pytest.fixture(params=[*OVERLAYS, "everything"])
def rendered(request: pytest.FixtureRequest) -> Rendered:
    return everything() if request.param == "everything" else overlay(request.param)


def _lasting(rendered: Rendered) -> list[Container]:
    """Containers that run as long as their pod: those of Deployments, and sidecars."""
    jobs = {one["metadata"]["name"] for one in rendered.all("CronJob")}
    return [
        one
        for one in rendered.containers()
        if one.owner not in jobs and (not one.initial or one.spec.get("restartPolicy") == "Always")
    ]


def test_the_namespace_takes_only_restricted_pods(rendered: Rendered) -> None:
    (namespace,) = rendered.all("Namespace")
    labels = namespace["metadata"]["labels"]
    for mode in ("enforce", "audit", "warn"):
        assert labels[f"pod-security.kubernetes.io/{mode}"] == "restricted"


def test_pods_are_restricted(rendered: Rendered) -> None:
    for workload in rendered.workloads():
        spec = pod(workload)["spec"]
        security = spec["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["runAsUser"] == security["runAsGroup"] == security["fsGroup"] == 10001
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        for forbidden in ("hostNetwork", "hostPID", "hostIPC"):
            assert forbidden not in spec
        kinds = {key for volume in spec["volumes"] for key in volume if key != "name"}
        assert kinds <= {"configMap", "secret", "emptyDir", "persistentVolumeClaim"}
        assert all("sizeLimit" in v["emptyDir"] for v in spec["volumes"] if "emptyDir" in v)


def test_containers_have_no_privileges(rendered: Rendered) -> None:
    for one in rendered.containers():
        security = one.spec["securityContext"]
        assert security["allowPrivilegeEscalation"] is False, one.name
        assert security["readOnlyRootFilesystem"] is True, one.name
        assert security["runAsNonRoot"] is True, one.name
        assert security["capabilities"] == {"drop": ["ALL"]}, one.name
        assert "privileged" not in security
        assert all("hostPort" not in port for port in one.spec.get("ports", []))


def test_a_token_is_mounted_only_where_argo_needs_it(rendered: Rendered) -> None:
    """Argo's init and wait containers ask the API server (workflow/executor/executor.go); nobody else does."""
    for account in rendered.all("ServiceAccount"):
        of_steps = account["metadata"]["name"] == "melanosizer-pipeline"
        assert account["automountServiceAccountToken"] is of_steps
    for workload in rendered.workloads():
        assert pod(workload)["spec"]["automountServiceAccountToken"] is False


def test_each_workload_has_an_account_of_its_own(rendered: Rendered) -> None:
    accounts = [pod(one)["spec"]["serviceAccountName"] for one in rendered.workloads()]
    # The registry's two jobs are one account.
    assert len(accounts) - accounts.count("registry") + 1 == len(set(accounts))
    assert "default" not in accounts


def test_only_the_pipelines_account_may_do_anything(rendered: Rendered) -> None:
    bound = {subject["name"] for one in rendered.all("RoleBinding") for subject in one["subjects"]}
    assert bound == {"melanosizer-pipeline"}
    assert not rendered.all("ClusterRole")
    assert not rendered.all("ClusterRoleBinding")
    (role,) = rendered.all("Role")
    for rule in role["rules"]:
        assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"]
        if {"secrets", "configmaps", "persistentvolumeclaims"} & set(rule["resources"]):
            assert rule["resourceNames"]
            assert rule["verbs"] == ["get"]


def test_limits_are_requests(rendered: Rendered) -> None:
    for one in rendered.containers():
        resources = one.spec["resources"]
        assert resources["requests"] == resources["limits"], one.name
        assert {"cpu", "memory"} <= resources["limits"].keys(), one.name


def test_lasting_containers_are_probed(rendered: Rendered) -> None:
    lasting = _lasting(rendered)
    assert {"tf-serving/tf-serving", "dashboard/dashboard"} <= {one.name for one in lasting}
    for one in lasting:
        assert "startupProbe" in one.spec, one.name
        assert "livenessProbe" in one.spec, one.name
        # A sidecar's start-up probe already holds the pod back.
        assert one.initial or "readinessProbe" in one.spec, one.name


def test_no_secret_is_in_a_manifest(rendered: Rendered) -> None:
    assert not rendered.all("Secret")
    assert "-----BEGIN" not in rendered.text
    assert not re.search(
        r"(?i)(password|secret_access_key|token)\s*[:=]\s*[\"']?[A-Za-z0-9+/]{12,}", rendered.text
    )
    for one in rendered.containers():
        for variable in one.spec.get("env", []):
            if re.search(r"(?i)password|secret|token|database_url", variable["name"]):
                assert "value" not in variable, one.name


def test_no_image_is_latest(rendered: Rendered) -> None:
    for one in rendered.containers():
        assert re.search(r":\d[\w.-]*$|@sha256:[0-9a-f]{64}$", one.spec["image"]), one.spec["image"]


def test_production_takes_images_by_digest() -> None:
    for one in overlay("prod").containers():
        assert re.search(r"@sha256:[0-9a-f]{64}$", one.spec["image"]), one.spec["image"]

"""Every overlay on a real API server, under enforced "restricted", with unknown fields refused."""

from __future__ import annotations

import copy
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline import config
from pipeline.targets.kubeflow import write
from pipeline.targets.kubeflow.cluster import Cluster
from tests.cluster.api import Api, RefusedError
from tests.k8s.manifests import K8S, OVERLAYS, Rendered, build, overlay, pod
from tests.pipeline.kubeflow.driver_double import Driver, MetadataStore

pytestmark = pytest.mark.cluster
Object = dict[str, Any]


def applied(api: Api, rendered: Rendered) -> dict[str, Object]:
    """Apply every object, the Namespace first; return each one as it is now by kind and name."""
    objects = sorted(rendered.objects, key=lambda one: one["kind"] != "Namespace")
    answers = [api.apply(one) for one in objects]
    for one in answers:
        # The API server writes a claim that did not change once more.
        del one["metadata"]["resourceVersion"]
    return {f"{one['kind']} {one['metadata']['name']}": one for one in answers}


def bare(template: Object, name: str, namespace: str) -> Object:
    """Return the pod that a workload's controller would make."""
    metadata = {**template.get("metadata", {}), "name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_is_taken_whole_and_twice_the_same(api: Api, name: str) -> None:
    rendered = overlay(name)
    first = applied(api, rendered)
    assert len(first) == len(rendered.objects)
    assert applied(api, rendered) == first
    assert api.warnings == []


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_pods_of_an_overlay_are_admitted(api: Api, name: str) -> None:
    rendered = overlay(name)
    applied(api, rendered)
    for workload in rendered.workloads():
        api.create(
            bare(pod(workload), workload["metadata"]["name"], workload["metadata"]["namespace"]), dry_run=True
        )
    assert api.warnings == []


def test_a_pod_that_is_not_restricted_is_refused(api: Api) -> None:
    """Else the tests above would prove nothing."""
    rendered = overlay("dev")
    applied(api, rendered)
    workload = rendered.one("Deployment", "dashboard")
    made = copy.deepcopy(bare(pod(workload), "root", workload["metadata"]["namespace"]))
    made["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    with pytest.raises(RefusedError, match=r"violates PodSecurity .*allowPrivilegeEscalation"):
        api.create(made, dry_run=True)
    with pytest.raises(RefusedError, match="replica: field not declared in schema"):
        api.apply({**workload, "spec": {**workload["spec"], "replica": 1}}, dry_run=True)


def test_the_steps_of_a_run_are_admitted(api: Api) -> None:
    """The pods that KFP and Argo make of the platform document."""
    rendered = overlay("staging")
    applied(api, rendered)
    namespace = rendered.one("ServiceAccount", "melanosizer-pipeline")["metadata"]["namespace"]
    spec, platform = write.kubeflow(config.load("smoke"), image="img:1", preset="smoke", cluster=Cluster())
    driver = Driver(spec, platform, MetadataStore(), "run-1", "minio://bucket/root", {})
    for task in spec["root"]["dag"]["tasks"]:
        made = driver.pod(task)
        made["metadata"]["namespace"] = namespace
        api.create(made, dry_run=True)
    assert api.warnings == []
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    del executors["exec-trainer"]["securityContext"]
    made = driver.pod("trainer")
    made["metadata"]["namespace"] = namespace
    with pytest.raises(RefusedError, match=r'violates PodSecurity "restricted.*runAsNonRoot'):
        api.create(made, dry_run=True)


def test_the_smoke_prediction_and_the_training_job_are_taken(api: Api) -> None:
    applied(api, overlay("dev"))
    # A controller makes it in every namespace.
    account = {"name": "default", "namespace": "melanosizer-dev"}
    api.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
    job: Object = yaml.safe_load((K8S / "smoke-prediction" / "job.yaml").read_text())
    job["metadata"]["namespace"] = "melanosizer-dev"
    api.apply(job, dry_run=True)
    api.create(bare(job["spec"]["template"], "smoke", "melanosizer-dev"), dry_run=True)
    for one in build(K8S / "training").objects:
        one["metadata"]["namespace"] = "melanosizer-dev"
        # The account comes first: a dry run of it would not be there for the pods.
        api.apply(one, dry_run=one["kind"] != "ServiceAccount")
        for role, replica in one.get("spec", {}).get("tfReplicaSpecs", {}).items():
            api.create(bare(replica["template"], role.lower(), "melanosizer-dev"), dry_run=True)
    assert api.warnings == []


def _kubectl() -> bool:
    return shutil.which("kubectl") is not None


@pytest.mark.skipif(not _kubectl(), reason="no kubectl here")
@pytest.mark.parametrize("name", OVERLAYS)
def test_kubectl_apply_twice_changes_nothing(api: Api, name: str, tmp_path: Path) -> None:
    manifests = tmp_path / "rendered.yaml"
    manifests.write_text(overlay(name).text)
    command = [
        "kubectl", f"--server={api.address}", f"--certificate-authority={api.certificate}",
        "--tls-server-name=kubernetes", f"--token={api.token}", "apply", "-f", str(manifests),
    ]  # fmt: skip
    for turn in range(2):
        done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
        assert done.returncode == 0, done.stderr
        if turn:
            changed = [line for line in done.stdout.splitlines() if not line.endswith(" unchanged")]
            # kubectl sends a budget's selector each time: its patchStrategy is `replace` (k8s.io/api/policy/v1).
            assert changed == ["poddisruptionbudget.policy/tf-serving configured"]

"""The training operator's job: restricted like everything else, and its command is one that workers can run.

tests/components/trainer/test_distribution.py and tests/pipeline/commands/test_train_worker.py run such workers.
"""

from __future__ import annotations

from typing import Any

import kubernetes_validate
import typer

from components.trainer.fit.distribution import Workers
from pipeline import config
from pipeline.__main__ import app
from pipeline.commands.options import overridden
from tests.k8s.manifests import K8S, build, overlay


def _template() -> dict[str, Any]:
    rendered = build(K8S / "training")
    (job,) = rendered.all("TFJob")
    found: dict[str, Any] = job["spec"]["tfReplicaSpecs"]["Worker"]["template"]
    return found


def test_its_pods_are_pods() -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", **_template()}
    pod["metadata"] = {"name": "worker", **pod["metadata"]}
    kubernetes_validate.validate(pod, "1.37", strict=True)


def test_its_pods_are_restricted() -> None:
    spec = _template()["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = spec["containers"]
    # What the operator looks for.
    assert container["name"] == "tensorflow"
    assert container["ports"] == [{"name": "tfjob-port", "containerPort": 2222}]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["resources"]["requests"] == container["resources"]["limits"]


def test_its_workers_may_talk_to_each_other_only() -> None:
    template = _template()
    spec = overlay("prod").one("NetworkPolicy", "training-workers")["spec"]
    for key, value in spec["podSelector"]["matchLabels"].items():
        assert template["metadata"]["labels"][key] == value
    assert spec["ingress"][0]["ports"] == [{"protocol": "TCP", "port": 2222}]


def test_its_volumes_are_claimed() -> None:
    for volume in _template()["spec"]["volumes"]:
        if "persistentVolumeClaim" in volume:
            assert overlay("prod").has("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"])


def test_its_command_is_one_that_its_workers_can_run() -> None:
    (job,) = build(K8S / "training").all("TFJob")
    (container,) = _template()["spec"]["containers"]
    name, *arguments = container["args"]
    command: Any = typer.main.get_command(app)
    given = command.commands[name].make_context(name, arguments).params
    overrides = {**overridden(given["overrides"]), "trainer.distribution": "workers"}
    trainer = config.load(given["preset"], overrides).trainer
    replicas = job["spec"]["tfReplicaSpecs"]["Worker"]["replicas"]
    assert Workers(0, replicas).rows(trainer.batch_size) == trainer.batch_size / replicas
    (mounted,) = [m["mountPath"] for m in container["volumeMounts"] if m["name"] == "workspace"]
    assert str(given["workspace"]) == mounted
    assert given["out"].is_relative_to(mounted)

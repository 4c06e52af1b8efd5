"""The training operator's job: restricted like everything else, and its program trains over several workers."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from typing import Any

import kubernetes_validate
import pytest

from tests.k8s.manifests import K8S, build, overlay


def _template() -> dict[str, Any]:
    rendered = build(K8S / "training")
    (job,) = rendered.all("TFJob")
    found: dict[str, Any] = job["spec"]["tfReplicaSpecs"]["Worker"]["template"]
    (held,) = rendered.all("ConfigMap")
    names = [v["configMap"]["name"] for v in found["spec"]["volumes"] if "configMap" in v]
    assert names == [held["metadata"]["name"]]
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


@pytest.mark.slow
def test_two_workers_compute_what_one_does() -> None:
    (alone,) = _digests(1)
    first, second = _digests(2)
    assert first == second == alone


def _digests(workers: int) -> list[str]:
    sockets = [socket.socket() for _ in range(workers)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    running = []
    for index in range(workers):
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        environment = {**os.environ, "TF_CONFIG": json.dumps(task), "CUDA_VISIBLE_DEVICES": ""}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        command = [sys.executable, str(K8S / "training" / "workers.py")]
        pipe = subprocess.PIPE
        running.append(
            subprocess.Popen(command, env=environment, stdout=pipe, stderr=subprocess.STDOUT, text=True)
        )
    said = [one.communicate(timeout=500)[0] for one in running]
    assert all(one.returncode == 0 for one in running), said[0][-3000:]
    return [re.findall(r"weights ([0-9a-f]{64})", one)[0] for one in said]

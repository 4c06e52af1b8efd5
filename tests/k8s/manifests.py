"""Renders kustomizations and gives their objects as dicts."""

from __future__ import annotations

import functools
import itertools
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
K8S = ROOT / "k8s"
OVERLAYS = ("dev", "staging", "prod")
COMPONENTS = (
    "autoscaling",
    "cert-manager",
    "monitoring",
    "network-policies",
    "storage-pvc",
    "storage-s3",
)
# Secrets that somebody makes on the cluster, each with who does: docs/cluster.md.
OUTSIDE_SECRETS = {"dashboard-database", "dashboard-metrics-token", "model-store-credentials"}

Object = dict[str, Any]


@dataclass(frozen=True)
class Container:
    """A container, and whether it starts before the others."""

    owner: str
    initial: bool
    spec: Object

    @property
    def name(self) -> str:
        """For messages: `tf-serving/mtls`."""
        return f"{self.owner}/{self.spec['name']}"


class Rendered:
    """The objects of one rendered kustomization."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.objects: list[Object] = [one for one in yaml.safe_load_all(text) if one]

    def all(self, kind: str) -> list[Object]:
        """Every object of a kind."""
        return [one for one in self.objects if one["kind"] == kind]

    def one(self, kind: str, name: str) -> Object:
        """The object of this kind and name; generated names match without their hash."""
        pattern = re.compile(re.escape(name) + r"(-[a-z0-9]{10})?")
        found = [one for one in self.all(kind) if pattern.fullmatch(one["metadata"]["name"])]
        assert len(found) == 1, f"{kind} {name}: {len(found)} of them"
        return found[0]

    def has(self, kind: str, name: str) -> bool:
        """Whether it is there."""
        return any(one["metadata"]["name"] == name for one in self.all(kind))

    def workloads(self) -> list[Object]:
        """Everything that makes pods."""
        return [one for one in self.objects if one["kind"] in ("Deployment", "CronJob")]

    def containers(self) -> Iterator[Container]:
        """Every container of every workload."""
        for workload in self.workloads():
            spec = pod(workload)["spec"]
            for key in ("initContainers", "containers"):
                for one in spec.get(key, []):
                    yield Container(workload["metadata"]["name"], key == "initContainers", one)

    def container(self, owner: str, name: str) -> Object:
        """One container."""
        return next(one.spec for one in self.containers() if one.name == f"{owner}/{name}")


def pod(workload: Object) -> Object:
    """A workload's pod template."""
    spec = workload["spec"]
    if workload["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    template: Object = spec["template"]
    return template


@functools.cache
def builder() -> tuple[str, ...]:
    """The command that renders: kubectl with kustomize 5, or kustomize itself; skips where there is neither."""
    if shutil.which("kubectl"):
        said = subprocess.run(
            ["kubectl", "version", "--client"], capture_output=True, text=True, check=False
        ).stdout
        if (
            re.search(r"Kustomize Version: v(\d+)", said)
            and int(said.split("Kustomize Version: v")[1][0]) >= 5
        ):
            return ("kubectl", "kustomize")
    if shutil.which("kustomize"):
        return ("kustomize", "build")
    pytest.skip("neither kubectl with kustomize 5 nor kustomize is here: the manifests cannot be rendered")


def build(folder: Path) -> Rendered:
    """Render a folder with a kustomization."""
    done = subprocess.run([*builder(), str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{folder}: {done.stderr}"
    # Deprecated fields and unused patches are said on stderr.
    assert not done.stderr.strip(), f"{folder}: {done.stderr}"
    return Rendered(done.stdout)


@functools.cache
def overlay(name: str) -> Rendered:
    """One of k8s/overlays."""
    return build(K8S / "overlays" / name)


@functools.cache
def combined(components: tuple[str, ...]) -> Rendered:
    """The base with these components."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch).resolve()
        lines = {
            # Else objects of components would lie in another namespace than those of the base.
            "namespace": "melanosizer",
            "resources": [os.path.relpath(K8S / "base", folder)],
            "components": [os.path.relpath(K8S / "components" / one, folder) for one in components],
        }
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(lines))
        return build(folder)


def everything() -> Rendered:
    """The base with all components."""
    return combined(COMPONENTS)


def combinations() -> list[tuple[str, ...]]:
    """Every set of components."""
    return [
        chosen for count in range(len(COMPONENTS) + 1) for chosen in itertools.combinations(COMPONENTS, count)
    ]

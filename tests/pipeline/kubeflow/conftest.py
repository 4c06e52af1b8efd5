"""The smoke preset compiled once for both targets: TFX's import alone takes seconds."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from pipeline import config
from pipeline.targets.kubeflow import write
from pipeline.targets.kubeflow.cluster import Cluster, Place, SecretVariable, Toleration

Spec = dict[str, Any]
IMAGE = "registry.example/melanosizer:1"
TRAINER = Place(
    accelerator="nvidia.com/gpu",
    accelerators=1,
    node_selector={"pool": "gpu"},
    tolerations=(Toleration(key="nvidia.com/gpu"),),
)
CLUSTER = Cluster(
    steps={"Trainer": TRAINER},
    secrets=(SecretVariable(secret="database", key="password", variable="MELANOSIZER_METADATA_PASSWORD"),),
    image_pull_secrets=("registry",),
)


@pytest.fixture(scope="session")
def compiled() -> tuple[Spec, Spec]:
    spec, platform = write.kubeflow(config.load("smoke"), image=IMAGE, preset="smoke", cluster=CLUSTER)
    return spec, platform


@pytest.fixture
def spec(compiled: tuple[Spec, Spec]) -> Spec:
    """The pipeline spec for Kubeflow, which a test may change."""
    return copy.deepcopy(compiled[0])


@pytest.fixture
def platform(compiled: tuple[Spec, Spec]) -> Spec:
    """The platform document."""
    return copy.deepcopy(compiled[1])


@pytest.fixture(scope="session")
def vertex_job() -> Spec:
    """The PipelineJob of the same preset."""
    places = {"data": "gs://bucket/data", "workspace": "gs://bucket/workspace"}
    return write.vertex(
        config.load("smoke"), image=IMAGE, preset="smoke", cluster=CLUSTER.model_copy(update=places)
    )


@pytest.fixture
def constant() -> Callable[[Spec, str, str], str]:
    """Return a function that gives a task's constant."""

    def read(spec: Spec, task: str, key: str) -> str:
        inputs = spec["root"]["dag"]["tasks"][task]["inputs"]
        return str(inputs["parameters"][key]["runtimeValue"]["constant"])

    return read

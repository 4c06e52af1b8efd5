"""What the pipeline needs of a cluster: volumes, secrets, and what each step asks of its node."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from core.errors import UsageError
from core.settings import Frozen
from pipeline.config import validated

QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"


class Volume(Frozen):
    """A PersistentVolumeClaim that every step mounts; strings that are not artifacts are never downloaded."""

    claim: str = Field(description="the PersistentVolumeClaim's name")
    path: str = Field(pattern=r"^/", description="where the containers see it")
    sub_path: str = Field(default="", description="a folder of the volume; empty: all of it")


class SecretVariable(Frozen):
    """An environment variable whose value is a key of a Secret."""

    secret: str = Field(description="the Secret's name")
    key: str = Field(description="the key in it")
    variable: str = Field(pattern=r"^[A-Z_][A-Z0-9_]*$", description="the environment variable")


class Toleration(Frozen):
    """Lets a step onto tainted nodes."""

    key: str = Field(description="the taint's key")
    operator: str = Field(
        default="Exists", pattern="^(Exists|Equal)$", description="Exists: any value; Equal: `value`"
    )
    value: str = Field(default="", description="the taint's value, for Equal")
    effect: str = Field(
        default="NoSchedule",
        pattern="^(NoSchedule|PreferNoSchedule|NoExecute)?$",
        description="the taint's effect; empty: every one",
    )


class Place(Frozen):
    """What one step asks of its node, and how often it is tried."""

    cpu_request: str = Field(default="500m", pattern=QUANTITY, description="cores it is sure of")
    cpu_limit: str = Field(default="2", pattern=QUANTITY, description="cores it may use")
    memory_request: str = Field(default="2Gi", pattern=QUANTITY, description="memory it is sure of")
    memory_limit: str = Field(default="4Gi", pattern=QUANTITY, description="memory it may use")
    accelerator: str = Field(default="", description="resource name of an accelerator, e.g. nvidia.com/gpu")
    accelerators: int = Field(default=0, ge=0, description="how many of them")
    node_selector: dict[str, str] = Field(default={}, description="labels its node must have")
    tolerations: tuple[Toleration, ...] = Field(default=(), description="taints it bears")
    retries: int = Field(default=2, ge=0, description="further attempts after a failure; a refusal has none")
    retry_seconds: int = Field(
        default=30, ge=0, description="pause before the first of them; doubled each time"
    )


# A gate's answer stays the same however often it is asked, and a training that broke for want of memory too.
STEPS = {
    "data-gate": Place(retries=0),
    "StatisticsGen": Place(cpu_request="1", memory_limit="8Gi"),
    "Transform": Place(cpu_request="1", memory_limit="8Gi"),
    "Trainer": Place(cpu_request="2", cpu_limit="8", memory_request="8Gi", memory_limit="16Gi", retries=1),
    "Evaluator": Place(cpu_request="1", cpu_limit="4", memory_request="4Gi", memory_limit="8Gi"),
    # Its failure is how a refusal shows: another attempt would say the same.
    "registry": Place(retries=0),
}


class Cluster(Frozen):
    """The cluster's side of the compiled pipeline."""

    volumes: tuple[Volume, ...] = Field(
        default=(
            Volume(claim="melanosizer-data", path="/data"),
            Volume(claim="melanosizer-workspace", path="/workspace"),
        ),
        description="claims every step mounts; the workspace's must be ReadWriteMany on several nodes",
    )
    workspace: str = Field(
        default="/workspace", description="default of the run's parameter `workspace`: the served models"
    )
    data: str = Field(default="/data", description="default of the run's parameter `data`")
    secrets: tuple[SecretVariable, ...] = Field(default=(), description="environment from Secrets")
    image_pull_secrets: tuple[str, ...] = Field(default=(), description="for a private image registry")
    run_as: int = Field(
        default=10001,
        ge=1,
        description="user and group of every step; the image's own, which owns the volumes",
    )
    model_servers: tuple[str, ...] = Field(
        default=("tf-serving-pods:8500",),
        description="gRPC addresses of the model servers, asked whether a release is loaded; host:port, a headless "
        "service stands for all its pods",
    )
    settle_seconds: int = Field(
        default=180,
        ge=0,
        le=600,
        description="seconds a release waits for servers where none of these addresses is found",
    )
    default: Place = Field(default=Place(), description="steps that have no entry of their own")
    steps: dict[str, Place] = Field(default=STEPS, description="by step")

    def place(self, step: str) -> Place:
        """Return what a step asks for."""
        return self.steps.get(step) or STEPS.get(step, self.default)


def load(path: Path | None) -> Cluster:
    """Read a cluster's description from a YAML file; without one, the defaults.

    Raises:
        UsageError: not readable, an unknown key, or a value that does not fit.
    """
    if path is None:
        return Cluster()
    try:
        content: Any = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as problem:
        raise UsageError(f"--cluster {path}: {problem}") from None
    return validated(Cluster, content or {}, f"--cluster {path}")


def check_steps(cluster: Cluster, steps: Iterable[str]) -> None:
    """Compare the steps a description names with those there are.

    Raises:
        UsageError: it names another.
    """
    known = sorted(steps)
    unknown = sorted(set(cluster.steps) - set(known))
    if unknown:
        raise UsageError(f"--cluster: steps: there is no {', '.join(unknown)}; valid are {', '.join(known)}")

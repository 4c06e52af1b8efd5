"""The serving check: proves, in a process of its own, that a server can load and use the model.

It takes the place of TFX's InfraValidator, which needs TensorFlow Serving in Docker or on Kubernetes.
"""

# TFX reads these annotations at run time, so they cannot be postponed.
from pathlib import Path

# Not tfx.v1, which imports all of TFX: a step in a container takes two seconds of processor time longer with it.
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import artifact_utils, standard_artifacts
from tfx.utils import path_utils

from components.gate.blessing import bless_infra
from components.serving_check import trial
from components.serving_check.config import ServingCheckConfig


@component
def ServingCheck(  # noqa: N802 - a component is a class to its users
    model: InputArtifact[standard_artifacts.Model],
    examples: InputArtifact[standard_artifacts.Examples],
    infra_blessing: OutputArtifact[standard_artifacts.InfraBlessing],
    config: Parameter[str],
) -> None:
    """Bless the model for serving, or not; `verdict.json` says which check failed."""
    limits = ServingCheckConfig.model_validate_json(config)
    split = Path(artifact_utils.get_split_uri([examples], "eval"))
    images = trial.golden(sorted(split.glob("*")), limits.golden_requests)
    verdict = trial.run(Path(path_utils.serving_model_path(model.uri)), images, limits)
    verdict.save(Path(infra_blessing.uri))
    bless_infra(infra_blessing, verdict.passed)

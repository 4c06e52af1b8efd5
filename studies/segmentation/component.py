"""The segmentation pipeline's own steps: the Evaluator with its gate, the serving check, the registry's record."""

# TFX reads these annotations at run time, so they cannot be postponed.
from pathlib import Path
from typing import Any

import numpy as np

# Not tfx.v1, which imports all of TFX: a step in a container takes two seconds of processor time longer with it.
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import artifact_utils, standard_artifacts
from tfx.utils import path_utils

from components.gate.blessing import bless_infra, bless_model
from components.registry.component import write_record
from components.serving_check import trial
from core.records.verdict import Verdict, at_least
from core.records.version import Parents
from core.registry.store import Registry
from studies.segmentation import measured, pairs
from studies.segmentation.config import MODEL_NAME, SegmentationConfig
from studies.segmentation.segmenter import MASK, SEGMENT

_GOLDEN = 4


@component
def SegmentationEvaluator(  # noqa: N802 - a component is a class to its users
    model: InputArtifact[standard_artifacts.Model],
    examples: InputArtifact[standard_artifacts.Examples],
    evaluation: OutputArtifact[standard_artifacts.ModelEvaluation],
    blessing: OutputArtifact[standard_artifacts.ModelBlessing],
    config: Parameter[str],
) -> None:
    """Measure Jaccard and Dice on `test` through the `segment` signature, and bless the model or not."""
    limits = SegmentationConfig.model_validate_json(config)
    files = _split(examples, "test")
    found = measured.measure(
        measured.loaded(Path(path_utils.serving_model_path(model.uri))), pairs.records(files)
    )
    measured.save(found, Path(evaluation.uri))
    verdict = measured.judge(found, limits)
    verdict.save(Path(evaluation.uri))
    bless_model(blessing, verdict.passed)


@component
def SegmentationCheck(  # noqa: N802 - a component is a class to its users
    model: InputArtifact[standard_artifacts.Model],
    examples: InputArtifact[standard_artifacts.Examples],
    infra_blessing: OutputArtifact[standard_artifacts.InfraBlessing],
) -> None:
    """Prove in a process of its own that a server can load the model and that it answers as it does here."""
    folder = Path(path_utils.serving_model_path(model.uri))
    images = trial.golden(_split(examples, "eval"), _GOLDEN)
    seen = trial.ask(folder, images, MASK, signature=SEGMENT)
    checks = [at_least("loads_and_answers", float(not seen.error), 1.0, detail=seen.error)]
    if not seen.error:
        here, _ = measured.loaded(folder)(images)
        alone = [item.outputs[MASK][0] for item in seen.alone]
        for name, masks in (("alone", alone), ("in a batch", seen.together.outputs[MASK])):
            same = [
                np.mean(pairs.mask_of(bytes(one)) == other) for one, other in zip(masks, here, strict=True)
            ]
            checks.append(at_least("pixels_as_in_python", float(np.mean(same)), 0.9999, slice=name))
        checks += seen.refusals
    verdict = Verdict(gate="serving", checks=tuple(checks))
    verdict.save(Path(infra_blessing.uri))
    bless_infra(infra_blessing, verdict.passed)


@component
def SegmentationRecord(  # noqa: N802 - a component is a class to its users
    pushed_model: InputArtifact[standard_artifacts.PushedModel],
    evaluation: InputArtifact[standard_artifacts.ModelEvaluation],
    infra_blessing: InputArtifact[standard_artifacts.InfraBlessing],
    record: OutputArtifact[standard_artifacts.HyperParameters],
    workspace: Parameter[str],
    run_id: Parameter[str],
    config: Parameter[str],
    data_version: Parameter[str],
) -> None:
    """Write the pushed version's record and serve it; do nothing when nothing was pushed."""

    def about(facts: dict[str, Any]) -> tuple[dict[str, Any], str]:  # noqa: ARG001 - RegistryRecord's looks at them
        found = measured.load(Path(evaluation.uri))
        jaccard = float(np.mean([score.jaccard for score in found]))
        return {
            "preset": "segmentation",
            "label_counts": {},
            "metrics": {"jaccard": jaccard, "dice": float(np.mean([score.dice for score in found]))},
            "slices": (),
            "verdicts": tuple(Verdict.load(Path(uri)) for uri in (evaluation.uri, infra_blessing.uri)),
            "parents": Parents(data_version=data_version, baseline_version=None),
        }, f"Jaccard {jaccard:.3f}"

    write_record(pushed_model, record, Registry(Path(workspace), MODEL_NAME), run_id, config, about)


def _split(examples: standard_artifacts.Examples, name: str) -> list[Path]:
    return sorted(Path(artifact_utils.get_split_uri([examples], name)).glob("*"))

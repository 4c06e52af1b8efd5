"""Runs the second study: the U-Net's pipeline, pictures of its masks, and the three-way experiment."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from rich.console import Console
from tfx.components.trainer.component import Trainer
from tfx.proto import trainer_pb2
from tfx.types.channel import Channel

from components.ingest.errors import IngestError
from components.transform import images
from core.errors import RunFaultError, UsageError
from core.features import IMAGE, IMAGE_NAME
from core.hashing import FACTS
from core.records.verdict import Verdict
from core.workspace import Workspace
from pipeline.config import LOCAL_BEAM_ARGS
from pipeline.dag import Judged, Locations
from pipeline.outcome import Outcome
from pipeline.run import new_run_id, run_steps
from pipeline.targets import local
from studies.page import Picture, picture
from studies.segmentation import measured, pairs
from studies.segmentation.component import SegmentationCheck, SegmentationEvaluator, SegmentationRecord
from studies.segmentation.config import MODEL_NAME, SegmentationConfig
from studies.segmentation.measured import Score


class SegmentationSteps:
    """The U-Net's: pairs that `study segmentation` has split already, Jaccard and Dice as the model gate."""

    pipeline_name = "melanosizer-segmentation"
    model_name = MODEL_NAME
    beam_args: Sequence[str] = LOCAL_BEAM_ARGS

    def __init__(self, config: SegmentationConfig) -> None:
        self.config = config

    def judge(self, examples: Channel, where: Locations) -> Judged:
        """Return Trainer, model gate and serving gate."""
        trainer = Trainer(
            run_fn="studies.segmentation.training.run_fn",
            examples=examples,
            train_args=trainer_pb2.TrainArgs(splits=["train"]),
            eval_args=trainer_pb2.EvalArgs(splits=["eval"]),
            custom_config={
                "segmentation": self.config.model_dump(mode="json"),
                "cache_dir": where.cache,
                "data_version": where.data_version,
            },
        )
        model = trainer.outputs["model"]
        # Jaccard and Dice at each picture's own size, with the gate.
        evaluator = SegmentationEvaluator(
            model=model, examples=examples, config=self.config.model_dump_json()
        ).with_id("segmentation-evaluator")
        check = SegmentationCheck(model=model, examples=examples).with_id("segmentation-check")
        return Judged(
            nodes=[trainer, evaluator, check],
            model=model,
            blessing=evaluator.outputs["blessing"],
            infra_blessing=check.outputs["infra_blessing"],
            evidence={
                "evaluation": evaluator.outputs["evaluation"],
                "infra_blessing": check.outputs["infra_blessing"],
            },
        )

    def record(self, pushed_model: Channel, judged: Judged, where: Locations) -> Any:
        """Return the registry's record of the U-Net."""
        return SegmentationRecord(
            pushed_model=pushed_model,
            **judged.evidence,
            workspace=where.workspace,
            run_id=where.run_id,
            config=self.config.model_dump_json(),
            data_version=where.data_version,
        ).with_id("segmentation-record")


TRUE_COLOUR = (86, 180, 233)  # RGB, sky blue
PREDICTED_COLOUR = (230, 159, 0)  # orange: both of Okabe and Ito's set
_SIDE = 260
_SHOWN = 6  # pictures of a kind
PRESET = "studies/segmentation"


@dataclass(frozen=True)
class UnetRun:
    """What the pipeline left."""

    run_id: str  # of the run
    scores: list[Score]  # of every test picture
    verdicts: Sequence[Verdict]  # of the gates
    history: list[dict[str, float]]  # a row an epoch
    model: Path  # the SavedModel's folder
    version: str | None  # that was pushed, None where a gate refused or nothing changed
    facts: dict[str, object]  # what the model says of itself


def write_pairs(data: Path, workspace: Workspace, seed: int) -> tuple[Path, str]:
    """Return the folder of the TFRecords made from `data`, and their version; `data` may be one already.

    Raises:
        UsageError: there are no pairs.
    """
    if (data / pairs.MANIFEST).is_file():
        return data, str(json.loads((data / pairs.MANIFEST).read_text())["data_version"])
    out = workspace.root / "data" / "pairs"
    try:
        return out, pairs.write(pairs.find(data), out, seed)
    except IngestError as error:
        raise UsageError(f"--data {error}") from None


def run_pipeline(
    config: SegmentationConfig, data: Path, data_version: str, workspace: Workspace, console: Console
) -> UnetRun:
    """Train, judge and, if it is good, push a U-Net.

    Raises:
        RunFaultError: a step failed; the log says more.
    """
    with workspace.locked():
        run_id = new_run_id(workspace)
        where = local.locations(
            workspace=workspace, data=data, data_version=data_version, run_id=run_id, preset=PRESET
        )
        result, _, error = run_steps(SegmentationSteps(config), config, where, workspace, console)
        folder = workspace.run(run_id)
        result.save(folder)
        if error:
            raise RunFaultError(f"{error}; see {folder / 'run.log'}")
    return collect(run_id, workspace)


def gallery(run: UnetRun, data: Path) -> list[tuple[str, list[Picture]]]:
    """Return pictures of the best, the middling and the worst masks of test, true and predicted outlines on them."""
    ordered = sorted(run.scores, key=lambda score: -score.jaccard)
    middle = max(0, len(ordered) // 2 - _SHOWN // 2)
    groups = [
        ("The worst", ordered[-_SHOWN:][::-1]),
        ("Around the median", ordered[middle : middle + _SHOWN]),
        ("The best", ordered[:_SHOWN]),
    ]
    wanted = {score.image_name for _, scores in groups for score in scores}
    segment = measured.loaded(run.model)
    drawn: dict[str, npt.NDArray[np.uint8]] = {}
    for row in pairs.records(sorted((data / "test").glob("*.tfrecord.gz"))):
        name = row[IMAGE_NAME].decode()
        if name in wanted:
            masks, _ = segment([row[IMAGE]])
            pixels = np.asarray(images.decode_whole(row[IMAGE]).numpy())
            drawn[name] = outlined(pixels, pairs.mask_of(row[pairs.MASK]), masks[0])
    return [
        (
            heading,
            [
                picture(
                    drawn[score.image_name],
                    f"Jaccard {score.jaccard:.2f}",
                    f"{score.image_name}, lesion {score.lesion_fraction:.0%}, predicted {score.predicted_fraction:.0%}",
                    _SIDE,
                )
                for score in scores
            ],
        )
        for heading, scores in groups
    ]


def outlined(
    pixels: npt.NDArray[np.uint8], truth: npt.NDArray[np.bool_], predicted: npt.NDArray[np.bool_]
) -> npt.NDArray[np.uint8]:
    """Return the picture with the true outline (blue) and the predicted one (orange) on it, `_SIDE` px high."""
    scale = _SIDE / pixels.shape[0]
    size = (max(1, round(pixels.shape[1] * scale)), _SIDE)
    drawn = np.ascontiguousarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    for mask, colour in ((truth, TRUE_COLOUR), (predicted, PREDICTED_COLOUR)):
        large = cv2.resize(mask.astype(np.uint8) * 255, size, interpolation=cv2.INTER_LINEAR)
        contours, _ = cv2.findContours(
            (large > 127).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
        )
        cv2.drawContours(drawn, contours, -1, colour, 2, cv2.LINE_AA)
    return drawn


def collect(run_id: str, workspace: Workspace) -> UnetRun:
    """Read what a run's steps left.

    Raises:
        RunFaultError: a step left nothing.
    """
    found = Outcome.load(workspace.run(run_id))
    if found.status == "failed":
        raise RunFaultError(f"run {run_id}: {found.reason}; see its run.log")
    evaluation, training = found.uri("SegmentationEvaluator", "evaluation"), found.uri("Trainer", "model_run")
    if found.model is None or evaluation is None or training is None:
        raise RunFaultError(f"run {run_id}: its Trainer or its Evaluator left nothing; see its run.log")
    return UnetRun(
        run_id=run_id,
        scores=measured.load(evaluation),
        verdicts=found.verdicts,
        history=json.loads((training / "history.json").read_text())["epochs"],
        model=Path(found.model),
        version=found.version if found.status == "pushed" else None,
        facts=json.loads((Path(found.model) / FACTS).read_text()),
    )

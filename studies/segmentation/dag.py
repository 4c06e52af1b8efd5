"""The segmentation pipeline: pairs in, a U-Net that a server answers with out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tfx import v1 as tfx
from tfx.orchestration import metadata

from components.pusher.component import Pusher
from core.features import SPLITS
from core.workspace import Workspace
from pipeline.config import LOCAL_BEAM_ARGS
from studies.segmentation.component import SegmentationCheck, SegmentationEvaluator, SegmentationRecord
from studies.segmentation.config import MODEL_NAME, SegmentationConfig

PIPELINE_NAME = "melanosizer-segmentation"


@dataclass(frozen=True)
class SegmentationLocations:
    """Where the run keeps things."""

    data: Path
    data_version: str
    workspace: Workspace
    run_id: str


def create_pipeline(config: SegmentationConfig, where: SegmentationLocations) -> tfx.dsl.Pipeline:
    """Return the pipeline; components belong to one pipeline object, so ask for a fresh one each time."""
    root = where.workspace.root.resolve()
    # Pairs: split already, by `study segmentation`.
    example_gen = tfx.components.ImportExampleGen(
        input_base=str(where.data.resolve()),
        input_config=tfx.proto.Input(
            splits=[tfx.proto.Input.Split(name=name, pattern=f"{name}/*.tfrecord.gz") for name in SPLITS]
        ),
    )
    trainer = tfx.components.Trainer(
        run_fn="studies.segmentation.run.run_fn",
        examples=example_gen.outputs["examples"],
        train_args=tfx.proto.TrainArgs(splits=["train"]),
        eval_args=tfx.proto.EvalArgs(splits=["eval"]),
        custom_config={
            "segmentation": config.model_dump(mode="json"),
            "cache_dir": str((root / "cache").resolve()),
            "data_version": where.data_version,
        },
    )
    # Jaccard and Dice at each picture's own size, with the gate.
    evaluator = SegmentationEvaluator(
        model=trainer.outputs["model"],
        examples=example_gen.outputs["examples"],
        config=config.model_dump_json(),
    ).with_id("segmentation-evaluator")
    check = SegmentationCheck(
        model=trainer.outputs["model"], examples=example_gen.outputs["examples"]
    ).with_id("segmentation-check")
    pusher = Pusher(
        model=trainer.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        infra_blessing=check.outputs["infra_blessing"],
        push_destination=tfx.proto.PushDestination(
            filesystem=tfx.proto.PushDestination.Filesystem(base_directory=f"{root}/serving/{MODEL_NAME}")
        ),
        custom_config={"run_id": where.run_id},
    )
    record = SegmentationRecord(
        pushed_model=pusher.outputs["pushed_model"],
        evaluation=evaluator.outputs["evaluation"],
        infra_blessing=check.outputs["infra_blessing"],
        workspace=str(root),
        run_id=where.run_id,
        config=config.model_dump_json(),
        data_version=where.data_version,
    ).with_id("segmentation-record")
    return tfx.dsl.Pipeline(
        pipeline_name=PIPELINE_NAME,
        pipeline_root=str(where.workspace.artifacts.resolve()),
        components=[example_gen, trainer, evaluator, check, pusher, record],
        metadata_connection_config=metadata.sqlite_metadata_connection_config(
            str(where.workspace.metadata.resolve())
        ),
        beam_pipeline_args=list(LOCAL_BEAM_ARGS),
        enable_cache=True,
    )

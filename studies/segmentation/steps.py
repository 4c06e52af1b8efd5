"""What the segmentation pipeline does: a U-Net out of pairs, judged by its masks, for `pipeline.dag.create_pipeline`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfx import v1 as tfx

from pipeline.config import LOCAL_BEAM_ARGS
from pipeline.dag import Judged, Locations
from studies.segmentation.component import SegmentationCheck, SegmentationEvaluator, SegmentationRecord
from studies.segmentation.config import MODEL_NAME, SegmentationConfig


class SegmentationSteps:
    """The U-Net's: pairs that `study segmentation` has split already, Jaccard and Dice as the model gate."""

    pipeline_name = "melanosizer-segmentation"
    model_name = MODEL_NAME
    beam_args: Sequence[str] = LOCAL_BEAM_ARGS

    def __init__(self, config: SegmentationConfig) -> None:
        self.config = config

    def judge(self, examples: tfx.dsl.Channel, where: Locations) -> Judged:
        """Return Trainer, model gate and serving gate."""
        trainer = tfx.components.Trainer(
            run_fn="studies.segmentation.run.run_fn",
            examples=examples,
            train_args=tfx.proto.TrainArgs(splits=["train"]),
            eval_args=tfx.proto.EvalArgs(splits=["eval"]),
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

    def record(self, pushed_model: tfx.dsl.Channel, judged: Judged, where: Locations) -> Any:
        """Return the registry's record of the U-Net."""
        return SegmentationRecord(
            pushed_model=pushed_model,
            **judged.evidence,
            workspace=where.workspace,
            run_id=where.run_id,
            config=self.config.model_dump_json(),
            data_version=where.data_version,
        ).with_id("segmentation-record")

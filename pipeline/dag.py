"""The one DAG: wiring only, no reading, no environment. Targets differ in the runner and the paths."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import tensorflow_data_validation as tfdv
from ml_metadata.proto import metadata_store_pb2

# Not tfx.v1, which imports Google's cloud as well: a sixth of the time before a run's first step.
from tfx.components.example_validator.component import ExampleValidator
from tfx.components.schema_gen.import_schema_gen.component import ImportSchemaGen
from tfx.components.statistics_gen.component import StatisticsGen
from tfx.components.trainer.component import Trainer
from tfx.components.transform.component import Transform
from tfx.components.tuner.component import Tuner
from tfx.dsl.components.common.resolver import Resolver
from tfx.orchestration.pipeline import Pipeline
from tfx.proto import example_gen_pb2, pusher_pb2, trainer_pb2, transform_pb2
from tfx.types import standard_artifacts as artifacts
from tfx.types.channel import Channel

import schemas
from components.balance.component import ClassBalance
from components.evaluator.baseline import RUN_KEY, BlessedBeforeStrategy
from components.evaluator.component import Evaluator
from components.example_gen.component import ImportExampleGen
from components.gate.component import DataGate, LatestAcceptedStrategy
from components.pusher.executor import Pusher
from components.registry.component import RegistryRecord
from components.serving_check.component import ServingCheck
from components.tuner.component import TunedHyperparameters
from core.errors import UsageError
from core.features import SPLITS
from pipeline.config import RunConfig

SCHEMA_FILE = str(Path(schemas.__file__).parent / "features.pbtxt")
PIPELINE_NAME = "melanosizer"


@dataclass(frozen=True)
class Locations:
    """Where a target keeps things; paths or URIs the runner understands."""

    data: str
    data_version: str
    artifacts: str
    workspace: str
    cache: str
    metadata: metadata_store_pb2.ConnectionConfig | None
    run_id: str
    preset: str
    spans: str = "[]"  # label counts of each part of the data, as JSON
    grown_from: str = "[]"  # data versions whose splits are kept in this one, as JSON


@dataclass(frozen=True)
class Judged:
    """What stands between the examples and the Pusher."""

    nodes: Sequence[Any]  # all of it, in the order it runs
    model: Channel  # what may be pushed
    blessing: Channel  # the model gate's
    infra_blessing: Channel  # the serving gate's
    evidence: Mapping[str, Channel]  # what the record is written from, by the name it has there


class Steps(Protocol):
    """What a pipeline does with its examples, and what it writes down of a pushed model."""

    pipeline_name: str
    model_name: str  # that clients ask the server for
    beam_args: Sequence[str]  # Apache Beam's pipeline options

    def judge(self, examples: Channel, where: Locations) -> Judged:
        """Return fresh components that train a model and judge it."""

    def record(self, pushed_model: Channel, judged: Judged, where: Locations) -> Any:
        """Return a fresh component that records and releases what was pushed."""


def create_pipeline(steps: Steps, where: Locations) -> Pipeline:
    """Return the pipeline, from TFRecords to a served version.

    Components belong to one pipeline object: every target asks for fresh ones.

    Raises:
        UsageError: settings that are not for a pipeline.
    """
    # Ingest has split the examples already, by patient or lesion.
    example_gen = ImportExampleGen(
        input_base=where.data,
        input_config=example_gen_pb2.Input(
            splits=[
                example_gen_pb2.Input.Split(name=name, pattern=f"{name}/*.tfrecord.gz") for name in SPLITS
            ]
        ),
    )
    judged = steps.judge(example_gen.outputs["examples"], where)
    pusher = Pusher(
        model=judged.model,
        model_blessing=judged.blessing,
        infra_blessing=judged.infra_blessing,
        push_destination=pusher_pb2.PushDestination(
            filesystem=pusher_pb2.PushDestination.Filesystem(
                base_directory=f"{where.workspace}/serving/{steps.model_name}"
            )
        ),
        # Never from the cache: the served folder may have changed since.
        custom_config={"run_id": where.run_id},
    )
    record = steps.record(pusher.outputs["pushed_model"], judged, where)
    return Pipeline(
        pipeline_name=steps.pipeline_name,
        pipeline_root=where.artifacts,
        components=[example_gen, *judged.nodes, pusher, record],
        metadata_connection_config=where.metadata,
        beam_pipeline_args=list(steps.beam_args),
        enable_cache=True,
    )


class ClassifierSteps:
    """The melanoma classifier's: three gates, a search if one is configured, and the registry's record."""

    pipeline_name = PIPELINE_NAME

    def __init__(self, config: RunConfig) -> None:
        if config.trainer.distribution == "workers":
            raise UsageError(
                "trainer.distribution=workers: a step of the pipeline is one process; leave it at one, or train on "
                "the data of a finished run by `melanosizer train-worker`"
            )
        self.config = config
        self.model_name = config.model_name
        self.beam_args: Sequence[str] = config.beam_args

    def judge(self, examples: Channel, where: Locations) -> Judged:
        """Return everything from the schema to the serving gate."""
        schema = ImportSchemaGen(schema_file=SCHEMA_FILE)
        # The schema marks the images, so their bytes are not counted as categories.
        statistics = StatisticsGen(
            examples=examples,
            schema=schema.outputs["schema"],
            stats_options=tfdv.StatsOptions(enable_semantic_domain_stats=True),
        )
        validator = ExampleValidator(
            statistics=statistics.outputs["statistics"], schema=schema.outputs["schema"]
        )
        # The data accepted last, for drift; none on a first run.
        accepted_before = Resolver(
            strategy_class=LatestAcceptedStrategy,
            config={"data_version": where.data_version},
            accepted=Channel(type=artifacts.HyperParameters),
        ).with_id("accepted-before")
        balance = ClassBalance(
            examples=examples,
            statistics=statistics.outputs["statistics"],
            accepted=accepted_before.outputs["accepted"],
            config=self.config.balance.model_dump_json(),
            data_version=where.data_version,
            spans=where.spans,
            grown_from=where.grown_from,
        ).with_id("class-balance")
        # Stops the run: the Trainer needs what only an accepted data set yields.
        gate = DataGate(anomalies=validator.outputs["anomalies"], balance=balance.outputs["balance"]).with_id(
            "data-gate"
        )
        transform = Transform(
            examples=examples,
            schema=schema.outputs["schema"],
            preprocessing_fn="components.transform.preprocessing.preprocessing_fn",
            # Pixels are never written out: 32 kB an image, and ten times slower.
            materialize=False,
            disable_statistics=True,
            splits_config=transform_pb2.SplitsConfig(analyze=["train"], transform=list(SPLITS)),
        )
        transform.add_upstream_node(gate)
        custom_config = self.config.custom_config(workspace=where.workspace, cache=where.cache)
        learning: dict[str, Any] = {
            "examples": examples,
            "transform_graph": transform.outputs["transform_graph"],
            "schema": schema.outputs["schema"],
            "train_args": trainer_pb2.TrainArgs(splits=["train"]),
            "eval_args": trainer_pb2.EvalArgs(splits=["eval"]),
        }
        # What the gate accepted and, if a search is configured, the best settings.
        hyperparameters = gate.outputs["accepted"]
        search: list[Any] = []
        if self.config.tuner is not None:
            tuner = Tuner(
                tuner_fn="components.tuner.search.tuner_fn",
                **learning,
                custom_config={**custom_config, "tuner": self.config.tuner.model_dump(mode="json")},
            )
            tuner.add_upstream_node(gate)
            tuned = TunedHyperparameters(
                accepted=gate.outputs["accepted"],
                best=tuner.outputs["best_hyperparameters"],
                results=tuner.outputs["tuner_results"],
            ).with_id("tuned-hyperparameters")
            hyperparameters = tuned.outputs["hyperparameters"]
            search = [tuner, tuned]
        trainer = Trainer(
            run_fn="components.trainer.run.run_fn",
            **learning,
            hyperparameters=hyperparameters,
            custom_config=custom_config,
        )
        # The model blessed before, for the change of the AUC; none on a first run.
        baseline = Resolver(
            strategy_class=BlessedBeforeStrategy,
            config={RUN_KEY: run_key(self.config, where)},
            model=Channel(type=artifacts.Model),
            model_blessing=Channel(type=artifacts.ModelBlessing),
        ).with_id("blessed-before")
        evaluator = Evaluator(
            examples=examples,
            model=trainer.outputs["model"],
            baseline_model=baseline.outputs["model"],
            config=self.config.evaluator,
            run_key=run_key(self.config, where),
        )
        serving_check = ServingCheck(
            model=trainer.outputs["model"],
            examples=examples,
            config=self.config.serving_check.model_dump_json(),
        ).with_id("serving-check")
        return Judged(
            nodes=[
                schema,
                statistics,
                validator,
                accepted_before,
                balance,
                gate,
                transform,
                *search,
                trainer,
                baseline,
                evaluator,
                serving_check,
            ],
            model=trainer.outputs["model"],
            blessing=evaluator.outputs["blessing"],
            infra_blessing=serving_check.outputs["infra_blessing"],
            evidence={
                "evaluation": evaluator.outputs["evaluation"],
                "blessing": evaluator.outputs["blessing"],
                "infra_blessing": serving_check.outputs["infra_blessing"],
                "accepted": gate.outputs["accepted"],
                "balance": balance.outputs["balance"],
            },
        )

    def record(self, pushed_model: Channel, judged: Judged, where: Locations) -> Any:
        """Return the registry's record of all that was judged."""
        return RegistryRecord(
            pushed_model=pushed_model,
            **judged.evidence,
            workspace=where.workspace,
            model_name=self.config.model_name,
            run_id=where.run_id,
            preset=where.preset,
            config=self.config.model_dump_json(),
        ).with_id("registry")


def run_key(config: RunConfig, where: Locations) -> str:
    """Return what decides which model comes out: a hash of how it is trained, and the data's version."""
    # The version stands beside the hash, not in it: on a cluster it is known only when the run begins.
    text = config.trainer.model_dump_json()
    if config.tuner is not None:
        text += config.tuner.model_dump_json()
    return f"{hashlib.sha256(text.encode()).hexdigest()}.{where.data_version}"

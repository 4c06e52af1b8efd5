"""The one DAG: wiring only, no reading, no environment. Targets differ in the runner and the paths."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow_data_validation as tfdv
from ml_metadata.proto import metadata_store_pb2
from tfx import v1 as tfx
from tfx.components.statistics_gen.component import StatisticsGen

import schemas
from components.balance.component import ClassBalance
from components.evaluator.baseline import RUN_KEY, BlessedBeforeStrategy
from components.evaluator.component import Evaluator
from components.gate.component import DataGate
from components.gate.latest_accepted import LatestAcceptedStrategy
from components.pusher.component import Pusher
from components.registry.component import RegistryRecord
from components.serving_check.component import ServingCheck
from components.tuner.component import TunedHyperparameters
from core.errors import UsageError
from core.features import SPLITS
from pipeline import trainer_config
from pipeline.config import RunConfig

Artifacts = tfx.types.standard_artifacts
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


def create_pipeline(config: RunConfig, where: Locations) -> tfx.dsl.Pipeline:
    """Return the pipeline, from TFRecords to a served version.

    Components belong to one pipeline object: every target asks for fresh ones.

    Raises:
        UsageError: settings that are not for a pipeline.
    """
    if config.trainer.distribution == "workers":
        raise UsageError(
            "trainer.distribution=workers: a step of the pipeline is one process; leave it at one, or train on the "
            "data of a finished run by `melanosizer train-worker`"
        )
    # Examples: ingest has split them already, by patient or lesion.
    example_gen = tfx.components.ImportExampleGen(
        input_base=where.data,
        input_config=tfx.proto.Input(
            splits=[tfx.proto.Input.Split(name=name, pattern=f"{name}/*.tfrecord.gz") for name in SPLITS]
        ),
    )
    schema = tfx.components.ImportSchemaGen(schema_file=SCHEMA_FILE)
    # The schema marks the images, so their bytes are not counted as categories.
    statistics = StatisticsGen(
        examples=example_gen.outputs["examples"],
        schema=schema.outputs["schema"],
        stats_options=tfdv.StatsOptions(enable_semantic_domain_stats=True),
    )
    validator = tfx.components.ExampleValidator(
        statistics=statistics.outputs["statistics"], schema=schema.outputs["schema"]
    )
    # The data accepted last, for drift; none on a first run.
    accepted_before = tfx.dsl.Resolver(
        strategy_class=LatestAcceptedStrategy,
        config={"data_version": where.data_version},
        accepted=tfx.dsl.Channel(type=Artifacts.HyperParameters),
    ).with_id("accepted-before")
    balance = ClassBalance(
        examples=example_gen.outputs["examples"],
        statistics=statistics.outputs["statistics"],
        accepted=accepted_before.outputs["accepted"],
        config=config.balance.model_dump_json(),
        data_version=where.data_version,
    ).with_id("class-balance")
    # Stops the run: the Trainer needs what only an accepted data set yields.
    gate = DataGate(anomalies=validator.outputs["anomalies"], balance=balance.outputs["balance"]).with_id(
        "data-gate"
    )
    transform = tfx.components.Transform(
        examples=example_gen.outputs["examples"],
        schema=schema.outputs["schema"],
        preprocessing_fn="components.transform.preprocessing.preprocessing_fn",
        # Pixels are never written out: 32 kB an image, and ten times slower.
        materialize=False,
        disable_statistics=True,
        splits_config=tfx.proto.SplitsConfig(analyze=["train"], transform=list(SPLITS)),
    )
    transform.add_upstream_node(gate)
    told = trainer_config.told(config, workspace=where.workspace, cache=where.cache)
    # What the Trainer is told: what the gate accepted and, where a search is configured, the best settings.
    hyperparameters = gate.outputs["accepted"]
    search: list[Any] = []
    if config.tuner is not None:
        tuner = tfx.components.Tuner(
            tuner_fn="components.tuner.search.tuner_fn",
            examples=example_gen.outputs["examples"],
            transform_graph=transform.outputs["transform_graph"],
            schema=schema.outputs["schema"],
            train_args=tfx.proto.TrainArgs(splits=["train"]),
            eval_args=tfx.proto.EvalArgs(splits=["eval"]),
            custom_config={**told, "tuner": config.tuner.model_dump(mode="json")},
        )
        tuner.add_upstream_node(gate)
        tuned = TunedHyperparameters(
            accepted=gate.outputs["accepted"],
            best=tuner.outputs["best_hyperparameters"],
            results=tuner.outputs["tuner_results"],
        ).with_id("tuned-hyperparameters")
        hyperparameters = tuned.outputs["hyperparameters"]
        search = [tuner, tuned]
    trainer = tfx.components.Trainer(
        run_fn="components.trainer.run.run_fn",
        examples=example_gen.outputs["examples"],
        transform_graph=transform.outputs["transform_graph"],
        schema=schema.outputs["schema"],
        hyperparameters=hyperparameters,
        train_args=tfx.proto.TrainArgs(splits=["train"]),
        eval_args=tfx.proto.EvalArgs(splits=["eval"]),
        custom_config=told,
    )
    # The model blessed before, for the change of the AUC; none on a first run.
    baseline = tfx.dsl.Resolver(
        strategy_class=BlessedBeforeStrategy,
        config={RUN_KEY: run_key(config, where)},
        model=tfx.dsl.Channel(type=Artifacts.Model),
        model_blessing=tfx.dsl.Channel(type=Artifacts.ModelBlessing),
    ).with_id("blessed-before")
    evaluator = Evaluator(
        examples=example_gen.outputs["examples"],
        model=trainer.outputs["model"],
        baseline_model=baseline.outputs["model"],
        config=config.evaluator,
        run_key=run_key(config, where),
    )
    serving_check = ServingCheck(
        model=trainer.outputs["model"],
        examples=example_gen.outputs["examples"],
        config=config.serving_check.model_dump_json(),
    ).with_id("serving-check")
    pusher = Pusher(
        model=trainer.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        infra_blessing=serving_check.outputs["infra_blessing"],
        push_destination=tfx.proto.PushDestination(
            filesystem=tfx.proto.PushDestination.Filesystem(
                base_directory=f"{where.workspace}/serving/{config.model_name}"
            )
        ),
        # Never from the cache: the served folder may have changed since.
        custom_config={"run_id": where.run_id},
    )
    registry = RegistryRecord(
        pushed_model=pusher.outputs["pushed_model"],
        evaluation=evaluator.outputs["evaluation"],
        blessing=evaluator.outputs["blessing"],
        infra_blessing=serving_check.outputs["infra_blessing"],
        accepted=gate.outputs["accepted"],
        balance=balance.outputs["balance"],
        workspace=where.workspace,
        model_name=config.model_name,
        run_id=where.run_id,
        preset=where.preset,
        config=config.model_dump_json(),
    ).with_id("registry")
    return tfx.dsl.Pipeline(
        pipeline_name=PIPELINE_NAME,
        pipeline_root=where.artifacts,
        components=[
            example_gen,
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
            pusher,
            registry,
        ],
        metadata_connection_config=where.metadata,
        beam_pipeline_args=list(config.beam_args),
        enable_cache=True,
    )


def run_key(config: RunConfig, where: Locations) -> str:
    """Return what decides which model comes out: a hash of how it is trained, and the data's version."""
    # The version stands beside the hash, not in it: on a cluster it is known only when the run begins.
    text = config.trainer.model_dump_json()
    if config.tuner is not None:
        text += config.tuner.model_dump_json()
    return f"{hashlib.sha256(text.encode()).hexdigest()}.{where.data_version}"

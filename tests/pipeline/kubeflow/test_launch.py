"""The compiled pipeline runs without a cluster, every task a process of its own, to a pushed model."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from components.ingest import source
from components.ingest.config import IngestConfig
from components.ingest.job import ingest
from components.ingest.manifest import Manifest
from core.features import MODEL_NAME
from core.records.lineage import LineageStore
from core.records.version import VersionRecord
from core.registry.store import Registry
from pipeline import config
from pipeline.synthetic.cohort import SynthConfig, synthesise
from pipeline.targets.kubeflow import write
from pipeline.targets.kubeflow.cluster import Cluster as ClusterDescription
from tests.pipeline.kubeflow.launch import Cluster, Run
from tests.pipeline.kubeflow.launcher_double import ROOT, Volumes
from tests.pipeline.kubeflow.object_store import serving

# Fifteen processes that each import TFX, three times over, and a local run to compare with.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
DATA_STEPS = (
    "import-schema-gen",
    "import-example-gen",
    "statistics-gen",
    "example-validator",
    "accepted-before",
    "class-balance",
    "data-gate",
    "transform",
)
UNCACHED = {"look-up", "pusher", "registry"}


@dataclass(frozen=True)
class Proof:
    """Three runs on one pretended cluster: the preset, the same again, and another seed."""

    workspace: Path
    data: Path
    first: Run
    again: Run
    other: Run
    keys: list[str]

    def record(self, number: int) -> VersionRecord:
        """Return the registry's record of the n-th version."""
        registry = Registry(self.workspace, MODEL_NAME)
        return registry.record(registry.versions()[number])


@pytest.fixture(scope="module")
def proof(tmp_path_factory: pytest.TempPathFactory) -> Proof:
    folder = tmp_path_factory.mktemp("kubeflow")
    synthesise(SynthConfig(images=240, size=96, melanoma_share=0.2, masks=False), folder / "raw")
    ingest(IngestConfig(sources=(source.detect(folder / "raw"),)), folder / "data")
    # A second span, so that there are spans and an earlier version to be told of.
    synthesise(SynthConfig(images=40, size=96, seed=7, melanoma_share=0.2, masks=False), folder / "more")
    ingest(IngestConfig(sources=(source.detect(folder / "more"),)), folder / "data", add=True)
    files = []
    for name, overrides in (("smoke", {}), ("other", {"trainer.seed": "18"})):
        made = write.kubeflow(
            config.load("smoke", overrides),
            image="img:1",
            preset="smoke",
            cluster=ClusterDescription(settle_seconds=0),
        )
        write.save(made, folder / f"{name}.yaml", "melanosizer compile")
        files.append(folder / f"{name}.yaml")
    workspace = folder / "workspace"
    workspace.mkdir()
    with serving() as store:
        cluster = Cluster(store, Volumes(folder / "data", workspace))
        runs = [cluster.run(file) for file in (files[0], files[0], files[1])]
        keys = store.keys()
    return Proof(workspace, folder / "data", *runs, keys)


def test_every_task_of_the_first_run_succeeds(proof: Proof) -> None:
    assert not proof.first.failed, proof.first.log
    assert len(proof.first.reports) == 15
    assert {item.state for item in proof.first.reports} == {"SUCCEEDED"}


def test_the_model_is_pushed_recorded_and_served(proof: Proof) -> None:
    registry = Registry(proof.workspace, MODEL_NAME)
    version = registry.versions()[0]
    assert (registry.served / version / "saved_model.pb").is_file()
    assert proof.record(0).run_id == proof.first.run_id
    assert str(registry.served) in (proof.workspace / "serving" / "models.config").read_text()


def test_the_same_again_has_the_same_cache_keys_and_pushes_nothing(proof: Proof) -> None:
    assert not proof.again.failed, proof.again.log
    for report in proof.again.reports:
        assert report.cache_key == proof.first.report(report.task).cache_key, report.task
        assert (report.state == "CACHED") == (report.task not in UNCACHED), report.task
    assert len(Registry(proof.workspace, MODEL_NAME).versions()) == 2


def test_another_configuration_keeps_the_datas_steps_and_finds_its_baseline(proof: Proof) -> None:
    assert not proof.other.failed, proof.other.log
    assert [proof.other.report(step).state for step in DATA_STEPS] == ["CACHED"] * len(DATA_STEPS)
    assert proof.other.report("trainer").state == "SUCCEEDED"
    assert proof.record(0).parents.baseline_version is None
    assert proof.record(1).parents.baseline_version == proof.record(0).version


def test_the_auc_is_that_of_a_run_on_this_machine(proof: Proof, tmp_path: Path) -> None:
    # By the command, in a process of its own: TensorFlow may be loaded here with other kernels than the command sets.
    command = [sys.executable, "-m", "pipeline", "run", "--preset", "smoke"]
    command += ["--data", str(proof.data), "--workspace", str(tmp_path / "ws")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    registry = Registry(tmp_path / "ws", MODEL_NAME)
    local = registry.record(registry.versions()[0])
    assert proof.record(0).metrics["auc"] == pytest.approx(local.metrics["auc"], abs=1e-6)
    here = {item.step: item for item in LineageStore(tmp_path / "ws").run(local.run_id)}
    there = {item.step: item for item in LineageStore(proof.workspace).run(proof.first.run_id)}
    # The same steps but for the look-up, and what does not hold a time or a place has the same hash.
    assert set(there) - set(here) == {"look-up"}
    assert set(here) <= set(there)
    for step, output in (("data-gate", "accepted"), ("ImportSchemaGen", "schema")):
        assert here[step].outputs[output][0].sha256 == there[step].outputs[output][0].sha256


def test_every_step_leaves_its_lineage(proof: Proof) -> None:
    records = LineageStore(proof.workspace).run(proof.first.run_id)
    assert len(records) == 15
    assert {item.state for item in records} == {"COMPLETE"}
    balance = next(item for item in records if item.step == "class-balance")
    manifest = Manifest.load(proof.data)
    assert balance.configuration["spans"] == manifest.label_counts_of_spans()
    assert json.loads(balance.configuration["grown_from"]) == list(manifest.grown_from) != []
    trainer = next(item for item in records if item.step == "Trainer")
    pusher = next(item for item in records if item.step == "Pusher")
    assert pusher.inputs["model"][0].sha256 == trainer.outputs["model"][0].sha256
    assert trainer.outputs["model"][0].uri.startswith("minio://mlpipeline/")
    assert json.loads(trainer.configuration["custom_config"])["trainer"]["seed"] == 17


def test_artifacts_lie_in_the_object_store_and_nowhere_else(proof: Proof) -> None:
    run = f"v2/artifacts/melanosizer/{proof.first.run_id}/"
    assert any(key.startswith(f"{run}trainer/") and key.endswith("saved_model.pb") for key in proof.keys)
    assert not list(proof.workspace.rglob("*.tfrecord.gz"))

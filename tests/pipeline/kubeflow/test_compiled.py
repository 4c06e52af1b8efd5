"""The compiled pipeline, as KFP's own parsers read it, and as it was meant."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kfp.components
import pytest
import yaml
from google.protobuf import json_format
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

from core.errors import UsageError
from pipeline.targets.kubeflow import cluster, lint, rewrite, write

Spec = dict[str, Any]
STEPS = {
    "accepted-before", "blessed-before", "class-balance", "data-gate", "evaluator", "example-validator",
    "import-example-gen", "import-schema-gen", "look-up", "pusher", "registry", "serving-check",
    "statistics-gen", "trainer", "transform",
}  # fmt: skip


def test_the_api_servers_parsers_take_it(spec: Spec, platform: Spec) -> None:
    json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    json_format.ParseDict(spec["deploymentSpec"], pipeline_spec_pb2.PipelineDeploymentConfig())
    json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec())
    for executor in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values():
        json_format.ParseDict(executor, kubernetes_executor_config_pb2.KubernetesExecutorConfig())


def test_kfps_own_client_loads_the_file(spec: Spec, platform: Spec, tmp_path: Path) -> None:
    file = tmp_path / "pipeline.yaml"
    write.save([spec, platform], file, "melanosizer compile")
    loaded = kfp.components.load_component_from_file(str(file))
    assert set(loaded.pipeline_spec.root.dag.tasks) == STEPS
    assert set(loaded.component_spec.inputs) == {"data", "workspace", "preset"}
    assert list(yaml.safe_load_all(file.read_text())) == [spec, platform]


def test_the_lint_has_nothing_to_say(spec: Spec) -> None:
    assert lint.check(spec) == []


def test_every_step_of_the_dag_is_a_container_of_our_entrypoint(spec: Spec) -> None:
    assert set(spec["root"]["dag"]["tasks"]) == STEPS
    for executor in spec["deploymentSpec"]["executors"].values():
        assert executor["container"]["image"] == "registry.example/melanosizer:1"
        assert executor["container"]["command"] == ["python", "-m", rewrite.ENTRYPOINT]
        assert executor["container"]["args"][0] == "--node_id"


def test_lineage_keeps_the_names_of_the_local_run(spec: Spec) -> None:
    executors = spec["deploymentSpec"]["executors"]
    names = {executor["container"]["args"][1] for executor in executors.values()}
    assert {"ImportExampleGen", "Evaluator", "data-gate", "look-up"} <= names


def test_what_only_the_run_knows_is_a_parameter(spec: Spec, constant: Callable[..., str]) -> None:
    tasks = spec["root"]["dag"]["tasks"]
    assert tasks["import-example-gen"]["inputs"]["parameters"]["input_base"] == {
        "componentInputParameter": "data"
    }
    for name in ("data_version", "spans", "grown_from"):
        assert tasks["class-balance"]["inputs"]["parameters"][name]["taskOutputParameter"] == {
            "producerTask": "look-up",
            "outputParameterKey": name,
        }
    assert constant(spec, "registry", "run_id") == "{{$.pipeline_job_uuid}}"
    destination = json.loads(constant(spec, "pusher", "push_destination"))
    assert destination["filesystem"]["base_directory"] == "@workspace@/serving/melanoma"
    assert constant(spec, "import-schema-gen", "schema_file") == "@schemas@/features.pbtxt"


def test_no_path_of_this_machine_is_in_it(spec: Spec, platform: Spec) -> None:
    root = str(Path(__file__).resolve().parents[3])
    assert root not in json.dumps([spec, platform])


def test_what_changes_the_served_folder_is_never_cached(spec: Spec) -> None:
    uncached = {
        name
        for name, task in spec["root"]["dag"]["tasks"].items()
        if not task.get("cachingOptions", {}).get("enableCache")
    }
    assert uncached == {"look-up", "pusher", "registry"}


def test_the_datas_version_is_in_example_gens_cache_key(spec: Spec) -> None:
    inputs = spec["root"]["dag"]["tasks"]["import-example-gen"]["inputs"]["parameters"]
    assert inputs["run-data_version"]["taskOutputParameter"]["outputParameterKey"] == "data_version"


def test_no_cached_step_is_told_the_run(spec: Spec) -> None:
    # The id differs each time, and so would the cache key.
    for name, task in spec["root"]["dag"]["tasks"].items():
        told = "{{$.pipeline_job_uuid}}" in json.dumps(task)
        assert told == (name in {"look-up", "pusher", "registry"}), name


def test_a_refusal_is_not_tried_again(spec: Spec) -> None:
    tasks = spec["root"]["dag"]["tasks"]
    assert "retryPolicy" not in tasks["data-gate"]
    assert "retryPolicy" not in tasks["registry"]
    assert tasks["statistics-gen"]["retryPolicy"]["maxRetryCount"] == 2


def test_the_registry_knows_whom_to_ask_whether_a_release_is_loaded(spec: Spec) -> None:
    given = {one["name"]: one["value"] for one in _container(spec, "registry")["env"]}
    assert given == {"MELANOSIZER_MODEL_SERVERS": "tf-serving-pods:8500", "MELANOSIZER_SETTLE_SECONDS": "180"}
    assert "env" not in _container(spec, "trainer")


def test_the_first_step_has_an_output_whose_place_tells_the_store(spec: Spec) -> None:
    outputs = spec["components"]["comp-look-up"]["outputDefinitions"]["artifacts"]
    assert outputs == {
        "place": {"artifactType": {"schemaTitle": "system.Artifact", "schemaVersion": "0.0.1"}}
    }


def _container(spec: Spec, name: str) -> Spec:
    return spec["deploymentSpec"]["executors"][f"exec-{name}"]["container"]


def test_a_step_gets_the_place_the_cluster_gives_it(spec: Spec, platform: Spec) -> None:
    resources = spec["deploymentSpec"]["executors"]["exec-trainer"]["container"]["resources"]
    assert resources["accelerator"]["resourceType"] == "nvidia.com/gpu"
    assert resources["resourceMemoryLimit"] == "4Gi"
    assert resources["memoryLimit"] == pytest.approx(4.295)
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert executors["exec-trainer"]["nodeSelector"] == {"labels": {"pool": "gpu"}}
    assert "nodeSelector" not in executors["exec-pusher"]
    for executor in executors.values():
        assert executor["securityContext"] == {
            "runAsUser": "10001",
            "runAsGroup": "10001",
            "runAsNonRoot": True,
        }
        assert [mount["mountPath"] for mount in executor["pvcMount"]] == ["/data", "/workspace"]
        assert executor["secretAsEnv"][0]["keyToEnv"] == [
            {"secretKey": "password", "envVar": "MELANOSIZER_METADATA_PASSWORD"}
        ]


def test_a_description_with_a_fault_says_what_would_be_valid(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text("volume: []\n")
    with pytest.raises(
        UsageError, match=r"volume: unknown key; valid: .*volumes, workspace.* Did you mean .volumes."
    ):
        cluster.load(file)
    file.write_text("default: {memory_limit: much}\n")
    with pytest.raises(UsageError, match=r"default.memory_limit = 'much'"):
        cluster.load(file)
    file.write_text("steps: {Trainor: {}}\n")
    with pytest.raises(UsageError, match=r"there is no Trainor; valid are .*Trainer"):
        cluster.check_steps(cluster.load(file), ["Trainer"])
    with pytest.raises(UsageError, match="No such file"):
        cluster.load(tmp_path / "absent.yaml")


def test_a_described_step_keeps_the_others_defaults(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text("steps: {Pusher: {cpu_limit: '4'}}\n")
    described = cluster.load(file)
    assert described.place("Pusher").cpu_limit == "4"
    assert described.place("data-gate").retries == 0
    assert described.place("Transform").memory_limit == "8Gi"

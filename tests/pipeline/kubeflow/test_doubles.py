"""The doubles do what KFP does where it hurts; a double that is too kind proves nothing."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.kubeflow.driver_double import Driver, Execution, MetadataStore
from tests.pipeline.kubeflow.launcher_double import TaskFailedError, _local
from tests.pipeline.kubeflow.object_store import serving

Spec = dict[str, Any]


def _driver(spec: Spec, platform: Spec, store: MetadataStore, run_id: str = "run-1") -> Driver:
    found = {
        "data_version": "d1",
        "spans": "[]",
        "grown_from": "[]",
        "accepted_before": "{}",
        "blessed_before": "{}",
    }
    driver = Driver(spec, platform, store, run_id, "minio://bucket/root", {"workspace": "/ws"})
    driver.done["look-up"] = Execution(found, {})
    return driver


def test_an_input_comes_back_without_its_type_and_with_a_number_for_a_name() -> None:
    store = MetadataStore()
    number = store.record(
        {"uri": "s3://b/k", "type": {"instanceSchema": "title: tfx.Model"}, "metadata": {"n": 1}}
    )
    assert store.runtime_artifact(number) == {
        "name": "1",
        "type": {"instanceSchema": ""},
        "uri": "s3://b/k",
        "metadata": {"n": 1.0},
    }


def test_a_null_is_refused() -> None:
    with pytest.raises(ValueError, match="NullValue"):
        MetadataStore().record({"uri": "s3://b/k", "metadata": {"nothing": None}})


def test_a_retry_without_a_longest_time_is_none(spec: Spec, platform: Spec) -> None:
    driver = _driver(spec, platform, MetadataStore())
    assert driver.attempts("statistics-gen") == 3
    assert driver.attempts("data-gate") == 1
    del spec["root"]["dag"]["tasks"]["statistics-gen"]["retryPolicy"]["backoffMaxDuration"]
    assert driver.attempts("statistics-gen") == 1


def test_an_artifact_that_is_in_no_object_store_is_refused(tmp_path: Path) -> None:
    """backend/src/v2/component/launcher_v2.go, LocalPathForURI: a local run's path fails the task that takes it."""
    assert _local(tmp_path, "s3://b/k") == tmp_path / "s3" / "b" / "k"
    with pytest.raises(TaskFailedError, match="unsupported storage scheme"):
        _local(tmp_path, "/workspace/artifacts/data-gate/accepted/4")


def test_a_pod_of_a_step_holds_to_restricted_only_with_a_security_context(spec: Spec, platform: Spec) -> None:
    driver = _driver(spec, platform, MetadataStore())
    for name in spec["root"]["dag"]["tasks"]:
        containers = [*driver.pod(name)["spec"]["containers"], *driver.pod(name)["spec"]["initContainers"]]
        assert all(one["securityContext"]["runAsNonRoot"] for one in containers), name
    del platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-trainer"]["securityContext"]
    main = driver.pod("trainer")["spec"]["containers"][1]
    assert "runAsNonRoot" not in main["securityContext"]


def test_tasks_come_after_those_they_wait_for(spec: Spec, platform: Spec) -> None:
    order = _driver(spec, platform, MetadataStore()).order()
    for name, task in spec["root"]["dag"]["tasks"].items():
        assert all(order.index(name) > order.index(other) for other in task["dependentTasks"])


def test_equal_tasks_have_equal_cache_keys(spec: Spec, platform: Spec) -> None:
    drivers = [_driver(spec, platform, MetadataStore(), run_id) for run_id in ("run-1", "run-2")]
    for name in ("import-example-gen", "accepted-before"):
        keys = {driver.cache_key(name, driver.executor_input(name)) for driver in drivers}
        assert len(keys) == 1
        assert None not in keys
    assert drivers[0].cache_key("look-up", drivers[0].executor_input("look-up")) is None


def test_another_version_of_the_data_has_another_cache_key(spec: Spec, platform: Spec) -> None:
    drivers = [_driver(spec, platform, MetadataStore()) for _ in range(2)]
    drivers[1].done["look-up"].parameters["data_version"] = "d2"
    name = "import-example-gen"
    assert len({driver.cache_key(name, driver.executor_input(name)) for driver in drivers}) == 2


def test_another_image_or_volume_has_another_cache_key(spec: Spec, platform: Spec) -> None:
    name = "import-example-gen"
    image, volume = copy.deepcopy(spec), copy.deepcopy(platform)
    image["deploymentSpec"]["executors"][f"exec-{name}"]["container"]["image"] = "other:1"
    executors = volume["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    executors[f"exec-{name}"]["pvcMount"].pop()
    drivers = [
        _driver(*documents, MetadataStore())
        for documents in ((spec, platform), (image, platform), (spec, volume))
    ]
    assert len({driver.cache_key(name, driver.executor_input(name)) for driver in drivers}) == 3


def test_a_parameter_without_a_value_is_refused(spec: Spec, platform: Spec) -> None:
    del spec["root"]["dag"]["tasks"]["import-example-gen"]["inputs"]["parameters"]["input_base"]
    with pytest.raises(ValueError, match="neither value nor default value provided for parameter input_base"):
        _driver(spec, platform, MetadataStore()).executor_input("import-example-gen")


def test_folders_go_through_a_real_s3_server(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "Split-train").mkdir(parents=True)
    (source / "empty").mkdir()
    (source / "Split-train" / "data.gz").write_bytes(b"12345")
    (source / "BLESSED").touch()
    with serving("bucket") as store:
        store.upload(source, "minio://bucket/run/model")
        store.upload(tmp_path / "absent", "minio://bucket/run/nothing")
        store.upload(source / "BLESSED", "minio://bucket/run/model_run")
        store.download("minio://bucket/run/model", tmp_path / "target" / "model")
        assert (store.uploaded, store.downloaded) == (5, 5)
        with pytest.raises(ValueError, match="does not have the prefix of bucket bucket"):
            store.upload(source, "minio://other/run/model")
    got = {
        str(path.relative_to(tmp_path / "target"))
        for path in (tmp_path / "target").rglob("*")
        if path.is_file()
    }
    # The folder without files is lost, and what merely begins like the key comes along.
    assert got == {"model/Split-train/data.gz", "model/BLESSED", "model_run"}

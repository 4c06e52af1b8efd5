"""An ExecutorInput as KFP writes it, made fit for TFX, and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from pipeline.targets.kubeflow import places, templates
from pipeline.targets.kubeflow.task import Task

MODEL = {"instanceSchema": "title: tfx.Model\ntype: object\n"}
SPEC = {"artifacts": {"model": {"artifactType": MODEL}, "accepted": {"artifactType": MODEL}}}


def executor_input(tmp_path: Path) -> dict[str, Any]:
    return {
        "inputs": {
            "parameterValues": {
                "run-workspace": "/workspace",
                "run-data_version": "abc",
                "key": "x.@data_version@",
                "destination": '{"base": "@workspace@/serving"}',
                "schema": "@schemas@/features.pbtxt",
                "count": 6.0,
            },
            "artifacts": {
                "model": {
                    "artifacts": [
                        {
                            "name": "17",
                            "type": {"instanceSchema": ""},
                            "uri": "minio://bucket/run/model",
                            "metadata": {"from": "minio://bucket/other"},
                        }
                    ]
                },
                "accepted": {
                    "artifacts": [
                        {
                            "name": "18",
                            "type": {"instanceSchema": ""},
                            "uri": "minio://b/n",
                            "metadata": {"found": 0},
                        }
                    ]
                },
            },
        },
        "outputs": {
            "artifacts": {
                "result": {
                    "artifacts": [
                        {"type": MODEL, "uri": "minio://b/root/melanosizer/run-7/pusher/salt/result"}
                    ]
                },
                "executor-logs": {
                    "artifacts": [{"type": {"schemaTitle": "system.Artifact"}, "uri": "minio://b/logs"}]
                },
            },
            "parameters": {"version": {"outputFile": str(tmp_path / "parameters" / "version")}},
            "outputFile": str(tmp_path / "out" / "output_metadata.json"),
        },
    }


def test_types_that_kfp_lost_are_filled_in(tmp_path: Path) -> None:
    task = Task.read(executor_input(tmp_path), SPEC)
    assert task.inputs["model"]["type"] == MODEL
    assert task.inputs["model"]["name"] == "17"


def test_places_become_the_launchers(tmp_path: Path) -> None:
    task = Task.read(executor_input(tmp_path), SPEC)
    assert task.inputs["model"]["uri"] == "/minio/bucket/run/model"
    assert task.inputs["model"]["metadata"]["from"] == "/minio/bucket/other"
    assert task.outputs["result"]["uri"].startswith("/minio/b/root")


def test_what_was_not_found_is_left_out(tmp_path: Path) -> None:
    assert set(Task.read(executor_input(tmp_path), SPEC).inputs) == {"model"}


def test_the_launchers_own_output_is_left_out(tmp_path: Path) -> None:
    assert set(Task.read(executor_input(tmp_path), SPEC).outputs) == {"result"}


def test_marks_are_filled_in_wherever_they_stand(tmp_path: Path) -> None:
    parameters = Task.read(executor_input(tmp_path), SPEC).parameters
    assert parameters["key"] == "x.abc"
    assert json.loads(parameters["destination"]) == {"base": "/workspace/serving"}
    assert Path(parameters["schema"]).is_file()
    assert parameters["count"] == 6.0
    assert not [key for key in parameters if key.startswith(templates.PREFIX)]


def test_tfx_gets_a_valid_executor_input(tmp_path: Path) -> None:
    message = Task.read(executor_input(tmp_path), SPEC).message()
    parsed = json_format.Parse(message, pipeline_spec_pb2.ExecutorInput())
    assert parsed.inputs.artifacts["model"].artifacts[0].uri == "/minio/bucket/run/model"


def test_the_run_is_read_out_of_an_outputs_uri(tmp_path: Path) -> None:
    task = Task.read(executor_input(tmp_path), SPEC)
    assert task.run_id("melanosizer") == "run-7"
    assert task.run_id("other") == "unknown"


def test_the_output_goes_back_remote_and_without_nulls(tmp_path: Path) -> None:
    task = Task.read(executor_input(tmp_path), SPEC)
    file = Path(task.output_file)
    file.parent.mkdir()
    result = {
        "uri": "/minio/b/root/x",
        "metadata": {"nothing": None, "pushed": 1.0, "destination": "/minio/b/y", "path": "/workspace/z"},
    }
    file.write_text(json.dumps({"artifacts": {"result": {"artifacts": [result]}}}))
    assert task.finish({"version": "abc"}) == {
        "result": {
            "uri": "minio://b/root/x",
            "metadata": {"pushed": 1.0, "destination": "minio://b/y", "path": "/workspace/z"},
        }
    }
    parsed = json_format.Parse(file.read_text(), pipeline_spec_pb2.ExecutorOutput())
    assert parsed.parameter_values["version"].string_value == "abc"
    assert (tmp_path / "parameters" / "version").read_text() == "abc"


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("s3://b/k", "/s3/b/k"),
        ("gs://b/k", "/gcs/b/k"),
        ("minio://b/k", "/minio/b/k"),
        ("/workspace/x", "/workspace/x"),
        ("plain text", "plain text"),
    ],
)
def test_a_place_goes_there_and_back(uri: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(places.ROOT_VARIABLE, raising=False)
    assert places.local(uri) == path
    assert places.remote(path) == uri
    monkeypatch.setenv(places.ROOT_VARIABLE, "/scratch/")
    assert places.remote(places.local(uri)) == uri

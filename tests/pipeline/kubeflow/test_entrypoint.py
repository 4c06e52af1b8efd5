"""What the container does with one task, in this process."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from core.records.lineage import LineageStore
from core.records.verdict import GateRefusedError, Verdict, at_least
from pipeline.targets.kubeflow import entrypoint, following, places
from pipeline.targets.kubeflow.task import Task

Message = dict[str, Any]
MODEL = {"instanceSchema": "title: tfx.Model\ntype: object\n"}


@pytest.fixture(autouse=True)
def _root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(places.ROOT_VARIABLE, str(tmp_path / "root"))


def call(tmp_path: Path, *arguments: str, parameters: Message | None = None, **more: Message) -> int:
    """Run a task named `gate` with one input, `model`, and one output, `result`."""
    given = {
        "inputs": {
            "parameterValues": {
                "run-workspace": str(tmp_path / "ws"),
                "run-run_id": "run-7",
                **(parameters or {}),
            },
            "artifacts": {
                "model": {
                    "artifacts": [
                        {"name": "4", "type": {"instanceSchema": ""}, "uri": "s3://b/model", "metadata": {}}
                    ]
                }
            },
        },
        "outputs": {
            "artifacts": {"result": {"artifacts": [{"type": MODEL, "uri": "s3://b/run/result"}]}},
            "outputFile": str(tmp_path / "out" / "output_metadata.json"),
            **more,
        },
    }
    spec = {
        "artifacts": {"model": {"artifactType": MODEL}},
        "parameters": {"count": {"parameterType": "NUMBER_INTEGER"}},
    }
    return entrypoint.main(
        [
            "--node_id", "gate",
            "--json_serialized_invocation_args", json.dumps(given),
            "--json_serialized_inputs_spec_args", json.dumps(spec),
            *arguments,
        ]
    )  # fmt: skip


def executor(name: str) -> tuple[str, str]:
    return "--executor_class_path", f"tests.pipeline.kubeflow.executors.{name}"


def output(tmp_path: Path) -> Message:
    return json.loads((tmp_path / "out" / "output_metadata.json").read_text())


def test_an_executor_sees_local_places_types_and_numbers(tmp_path: Path) -> None:
    assert call(tmp_path, *executor("Writing"), parameters={"count": 6.0, "text": "@workspace@/x"}) == 0
    root = tmp_path / "root"
    assert (root / "s3" / "b" / "run" / "result" / "told.txt").read_text().splitlines() == [
        "count=6",
        f"text='{tmp_path}/ws/x'",
        f"model: {root}/s3/b/model Model",
    ]
    artifact = output(tmp_path)["artifacts"]["result"]["artifacts"][0]
    assert artifact["uri"] == "s3://b/run/result"
    assert artifact["metadata"]["place"] == "s3://b/run/result"


def test_a_step_leaves_its_lineage(tmp_path: Path) -> None:
    model = tmp_path / "root" / "s3" / "b" / "model"
    model.mkdir(parents=True)
    (model / "weights").write_text("1")
    call(tmp_path, *executor("Writing"), parameters={"count": 6.0})
    [record] = LineageStore(tmp_path / "ws").run("run-7")
    assert (record.step, record.state, record.target) == ("gate", "COMPLETE", "kubeflow")
    assert record.inputs["model"][0].uri == "s3://b/model"
    assert record.inputs["model"][0].type == "Model"
    assert record.inputs["model"][0].sha256 is not None
    assert record.outputs["result"][0].sha256 is not None
    assert record.configuration == {"count": 6.0}


def test_a_refusal_ends_with_3_and_is_the_last_word_of_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        assert call(tmp_path, *executor("Refusing")) == 3
    last = caplog.messages[-1]
    assert last == "refused by a gate: the data gate refused: positives is 1, must be >= 2"
    # Who follows the run looks for this.
    assert following.REFUSED_MARK in last
    [record] = LineageStore(tmp_path / "ws").run("run-7")
    assert record.state == "REFUSED"
    assert "positives is 1" in record.reason


def test_a_fault_is_recorded_and_comes_out(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no space left"):
        call(tmp_path, *executor("Breaking"))
    [record] = LineageStore(tmp_path / "ws").run("run-7")
    assert (record.state, record.reason) == ("FAILED", "OSError: no space left on device")


def test_what_a_step_writes_is_writable_by_its_own_user_only(tmp_path: Path) -> None:
    """Argo's emissary starts the container with umask 0 (cmd/argoexec/commands/emissary.go)."""
    before = os.umask(0)
    try:
        assert call(tmp_path, *executor("Writing"), parameters={"count": 6.0}) == 0
    finally:
        os.umask(before)
    written = [tmp_path / "root" / "s3" / "b" / "run" / "result" / "told.txt", *(tmp_path / "ws").rglob("*")]
    assert len(written) > 3
    assert [path for path in written if path.stat().st_mode & 0o022] == []


def test_what_was_found_is_handed_on(tmp_path: Path) -> None:
    found = {"result": {"uri": "s3://b/earlier/model", "properties": {"version": "3"}}}
    assert call(tmp_path, "--resolve", parameters={"found": json.dumps(found)}) == 0
    artifact = output(tmp_path)["artifacts"]["result"]["artifacts"][0]
    assert artifact == {"uri": "s3://b/earlier/model", "metadata": {"version": "3", "found": 1}}


def test_what_was_not_found_is_handed_on_as_such(tmp_path: Path) -> None:
    assert call(tmp_path, "--resolve", parameters={"found": "{}"}) == 0
    artifact = output(tmp_path)["artifacts"]["result"]["artifacts"][0]
    assert artifact == {"uri": "s3://b/run/result", "metadata": {"found": 0}}
    # KFP's launcher downloads it all the same.
    assert list((tmp_path / "root" / "s3" / "b" / "run" / "result").iterdir())


@pytest.mark.parametrize(
    ("pushed", "refused"), [({"pushed": 0.0}, True), ({"pushed": 1.0}, False), ({"unchanged": "3"}, False)]
)
def test_the_last_step_fails_when_a_model_was_refused(tmp_path: Path, pushed: Message, refused: bool) -> None:
    for name, passed in (("evaluation", False), ("infra_blessing", True)):
        Verdict(gate=name, checks=(at_least("auc", 0.9 if passed else 0.5, 0.8),)).save(tmp_path / name)
    inputs = {name: {"uri": str(tmp_path / name)} for name in ("evaluation", "infra_blessing")}
    task = Task(inputs={**inputs, "pushed_model": {"metadata": pushed}}, outputs={}, parameters={})
    entrypoint._refuse_unblessed("Pusher", task)
    if refused:
        with pytest.raises(GateRefusedError, match=r"evaluation gate refused: auc is 0.5, must be >= 0.8"):
            entrypoint._refuse_unblessed("registry", task)
    else:
        entrypoint._refuse_unblessed("registry", task)

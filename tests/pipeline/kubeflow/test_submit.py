"""`melanosizer submit` against a server that answers as Kubeflow Pipelines does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from core.errors import RunFaultError, UsageError
from pipeline.__main__ import app
from pipeline.targets.kubeflow import following, write
from tests.pipeline.kubeflow.api_double import RUN_ID, ApiDouble, serving, state, task

Spec = dict[str, Any]
REFUSAL = (
    "2026-11-22 ERROR melanosizer.task refused by a gate: the data gate refused: overlap is 3, must be <= 0"
)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch, compiled: tuple[Spec, Spec]) -> Iterator[ApiDouble]:
    """A server, and a compiler that answers at once."""
    monkeypatch.setattr(following, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(write, "kubeflow", lambda *_, **__: list(compiled))
    for variable in ("KF_PIPELINES_ENDPOINT", "KF_PIPELINES_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    with serving(ApiDouble(states=[state("SUCCEEDED")])) as double:
        yield double


def submit(api: ApiDouble, *arguments: str) -> Result:
    return CliRunner().invoke(
        app, ["submit", "--image", "img:1", "--config", "smoke", "--host", api.host, *arguments]
    )


def test_a_run_is_submitted_with_its_name_experiment_root_and_parameters(api: ApiDouble) -> None:
    result = submit(
        api,
        "--name",
        "monday",
        "--experiment",
        "nightly",
        "--root",
        "s3://bucket/root",
        "--data",
        "/data/ham",
    )
    assert result.exit_code == 0, result.output
    assert RUN_ID in result.output
    assert f"{api.host}/#/runs/details/{RUN_ID}" in result.output
    sent = api.runs[0]
    assert sent["display_name"] == "monday"
    assert sent["experiment_id"] == "id-of-nightly"
    assert sent["runtime_config"]["pipeline_root"] == "s3://bucket/root"
    assert sent["runtime_config"]["parameters"] == {"data": "/data/ham", "preset": "smoke"}
    assert "kubernetes" in sent["pipeline_spec"]["platform_spec"]["platforms"]
    assert "Run details" not in result.output


def test_steps_run_as_the_service_account_that_was_named(api: ApiDouble) -> None:
    assert submit(api, "--service-account", "melanosizer-pipeline").exit_code == 0
    assert submit(api, "--service-account", "melanosizer-pipeline", "--cron", "@daily").exit_code == 0
    assert api.runs[0]["service_account"] == api.recurring[0]["service_account"] == "melanosizer-pipeline"
    assert submit(api).exit_code == 0
    assert not api.runs[1].get("service_account")


def test_waiting_shows_the_steps_and_ends_with_0(api: ApiDouble) -> None:
    api.states = [
        state("PENDING"),
        state(
            "RUNNING", task("root", "RUNNING"), task("look-up", "RUNNING"), task("look-up-driver", "RUNNING")
        ),
        state("RUNNING", task("look-up", "SUCCEEDED"), task("trainer", "RUNNING")),
        state("SUCCEEDED", task("look-up", "SUCCEEDED"), task("trainer", "SKIPPED")),
    ]
    api.outages = 2
    result = submit(api, "--wait")
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.output.splitlines() if line.startswith("  ")]
    assert [(line[0], line[1]) for line in lines] == [
        ("look-up", "running"),
        ("look-up", "succeeded"),
        ("trainer", "running"),
        ("trainer", "skipped"),
    ]
    assert "in 42 s" in result.output


def test_a_gates_refusal_ends_with_3_and_its_reason(api: ApiDouble) -> None:
    api.states = [state("FAILED", task("data-gate", "FAILED", pod="pod-7"), task("trainer", "PENDING"))]
    api.logs["pod-7"] = f"something\n{REFUSAL}\n"
    result = submit(api, "--wait")
    assert result.exit_code == 3, result.output
    assert "data-gate: the data gate refused: overlap is 3, must be <= 0" in result.output


def test_a_failed_step_ends_with_1_and_its_name(api: ApiDouble) -> None:
    api.states = [state("FAILED", task("trainer", "FAILED", pod="pod-8", error="OOMKilled"))]
    result = submit(api, "--wait")
    assert result.exit_code == 1, result.output
    assert "trainer (OOMKilled)" in result.output


def test_a_run_that_is_over_before_its_tasks_are_is_asked_again(api: ApiDouble) -> None:
    """KFP 2.17 writes the run's FAILED up to 0.3 s before those of its tasks."""
    api.states = [
        state("FAILED", task("data-gate", "RUNNING")),
        state("FAILED", task("data-gate", "RUNNING")),
        state("FAILED", task("data-gate", "FAILED", pod="pod-7")),
    ]
    api.logs["pod-7"] = REFUSAL
    result = submit(api, "--wait")
    assert result.exit_code == 3, result.output
    assert "overlap is 3, must be <= 0" in result.output


def test_names_that_repeat_hide_nothing(api: ApiDouble) -> None:
    """Argo's nodes as KFP 2.17 lists them: an executor, a driver and attempts for each step."""
    parts = [
        task("root", "RUNNING"), task("root(0)", "RUNNING"), task("root-driver", "SUCCEEDED"),
        task("look-up", "SUCCEEDED"), task("look-up-driver", "SUCCEEDED"), task("look-up-driver(0)", "SUCCEEDED"),
        task("executor", "SUCCEEDED"), task("executor(0)", "SUCCEEDED"),
        task("data-gate", "FAILED"), task("data-gate-driver(0)", "SUCCEEDED"),
        task("executor", "FAILED", number=1), task("executor(0)", "FAILED", pod="pod-9", number=1),
        task("executor", "SKIPPED", number=2),
        task("trainer", "SKIPPED"),
    ]  # fmt: skip
    api.states = [state("FAILED", *parts)]
    api.logs["pod-9"] = REFUSAL
    result = submit(api, "--wait")
    assert result.exit_code == 3, result.output
    assert "data-gate: the data gate refused" in result.output
    lines = [line.split()[0] for line in result.output.splitlines() if line.startswith("  ")]
    assert sorted(lines) == ["data-gate", "look-up", "trainer"]


def test_a_step_without_a_pods_name_says_how_its_log_is_found(api: ApiDouble) -> None:
    api.states = [state("FAILED", task("trainer", "FAILED"))]
    result = submit(api, "--wait", "--namespace", "skin")
    assert result.exit_code == 1, result.output
    assert f"kubectl -n skin logs -l pipeline/runid={RUN_ID} -c main --prefix" in result.output


def test_following_a_run_ends_after_its_limit(api: ApiDouble) -> None:
    api.states = [state("RUNNING", task("trainer", "RUNNING"))]
    result = submit(api, "--wait", "--limit-hours", "0")
    assert isinstance(result.exception, RunFaultError)
    assert "not over after 0 h (--limit-hours)" in str(result.exception)


def test_a_run_whose_workflow_was_deleted_is_told_of() -> None:
    """Nothing reports its end to KFP's API, which says RUNNING for ever."""
    running = following.RunState(
        "running", {"1": following.StepState("trainer", "RUNNING")}, logs="kubectl logs"
    )
    ended = following.RunState("succeeded", {"1": following.StepState("trainer", "SUCCEEDED")})
    answers, passed = iter([running, running, running, ended]), [0.0]
    console = Console(record=True, width=300)
    following.follow(
        lambda: next(answers),
        console,
        pause=lambda: passed.append(passed[-1] + 1000),
        clock=lambda: passed[-1],
    )
    text = console.export_text()
    assert text.count("nothing has changed for 30 min: a run whose Workflow was deleted never ends") == 1
    assert "Its logs: kubectl logs" in text


def test_a_root_that_needs_the_launchers_providers_is_told(api: ApiDouble) -> None:
    assert "`providers` in the namespace's ConfigMap kfp-launcher" in submit(api, "--root", "s3://b/r").output
    assert "providers" not in submit(api, "--root", "minio://b/r").output


def test_a_canceled_run_ends_with_1(api: ApiDouble) -> None:
    api.states = [state("CANCELED")]
    result = submit(api, "--wait")
    assert result.exit_code == 1
    assert "canceled" in result.output


def test_a_recurring_run_does_not_pile_up(api: ApiDouble) -> None:
    result = submit(api, "--cron", "0 0 3 * * 1", "--name", "weekly")
    assert result.exit_code == 0, result.output
    sent = api.recurring[0]
    assert sent["trigger"]["cron_schedule"]["cron"] == "0 0 3 * * 1"
    assert int(sent["max_concurrency"]) == 1
    assert sent["no_catchup"] is True
    assert "recurring-1" in result.output
    assert api.runs == []


def test_a_token_is_sent_and_a_wrong_one_explained(api: ApiDouble) -> None:
    api.token = "secret"
    assert submit(api, "--token", "secret").exit_code == 0
    refused = submit(api, "--token", "wrong")
    assert isinstance(refused.exception, UsageError)
    assert "answered 401" in str(refused.exception)
    assert "wrong" not in str(refused.exception)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--root", "/tmp/x"), "must begin with gs://, s3://, minio://"),
        (("--cron", "0 3 * * 1"), "kubeflow takes 6 fields, e.g. 0 0 3 * * 1"),
        (("--cron", "0 0 3 * * 1", "--wait"), "leave out one of --cron and --wait"),
        (("--host", "localhost:8888"), "must be the API's URL"),
        (("--data", "s3://bucket/data"), "must be an absolute path on a volume"),
        (("--config", "none"), "unknown; valid are"),
        (("--set", "trainer.sed=1"), "unknown key"),
        (("--target", "vertex"), "--root: Vertex AI needs one"),
        (("--target", "vertex", "--root", "gs://b/r"), "needs --project and --location"),
    ],
)
def test_wrong_usage_says_what_would_be_right(
    api: ApiDouble, arguments: tuple[str, ...], message: str
) -> None:
    result = submit(api, *arguments)
    assert isinstance(result.exception, UsageError), result.output
    assert message in str(result.exception)
    assert api.runs == []


def test_a_server_that_is_not_there_is_told(api: ApiDouble) -> None:
    result = submit(api, "--host", "http://127.0.0.1:1")
    assert isinstance(result.exception, UsageError)
    assert "no Kubeflow Pipelines API answers there" in str(result.exception)
    assert "port-forward" in str(result.exception)

"""Sends a run to an MLflow server: parameters, measures, curves, report, and the model into its registry."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from core.errors import RunFaultError
from pipeline.ecosystem.finished_run import FinishedRun

_TAG = "melanosizer.run_id"
# The server's limits on one call, and on a parameter's text.
_PARAMETERS, _METRICS, _LONGEST = 100, 1000, 6000
_STATUS = {"pushed": "FINISHED", "unchanged": "FINISHED", "refused": "FAILED", "failed": "FAILED"}


def send(run: FinishedRun, uri: str, *, experiment: str, model_name: str, stable: str | None) -> str:
    """Send a run and return MLflow's id of it; one that the server has already is left as it is.

    The experiment is made if it is not there; ``stable``, the version that is served now, gets that alias.

    Raises:
        RunFaultError: the server does not answer, or refuses.
    """
    # MLflow's own seven attempts, doubling the pause, take four minutes to say that nobody is there.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    try:
        return _send(client, run, experiment, model_name, stable)
    except MlflowException as error:
        raise RunFaultError(f"--mlflow {uri}: {str(error.message).splitlines()[0]}") from error


def _send(
    client: MlflowClient, run: FinishedRun, experiment: str, model_name: str, stable: str | None
) -> str:
    outcome = run.outcome
    known = client.get_experiment_by_name(experiment)
    number = known.experiment_id if known else client.create_experiment(experiment)
    sent = client.search_runs([number], f"tags.`{_TAG}` = '{outcome.run_id}'", max_results=1)
    if sent:
        return str(sent[0].info.run_id)
    tags = {_TAG: outcome.run_id, "mlflow.runName": outcome.run_id, "data_version": outcome.data_version}
    tags |= {"status": outcome.status, "preset": outcome.preset}
    made = client.create_run(number, start_time=_ms(outcome.started), tags=tags).info.run_id
    parameters = [Param(key[:250], str(value)[:_LONGEST]) for key, value in run.config.items()]
    for start in range(0, len(parameters), _PARAMETERS):
        client.log_batch(made, params=parameters[start : start + _PARAMETERS])
    metrics = [Metric(name, value, _ms(run.ended), 0) for name, value in run.metrics.items()]
    metrics += [
        Metric(f"training.{name}", float(value), _ms(outcome.started), step)
        for step, row in enumerate(run.history, 1)
        for name, value in row.items()
        if isinstance(value, int | float)
    ]
    for start in range(0, len(metrics), _METRICS):
        client.log_batch(made, metrics=metrics[start : start + _METRICS])
    if outcome.reason:
        client.log_batch(made, tags=[RunTag("reason", outcome.reason[:_LONGEST])])
    for path in run.files:
        client.log_artifact(made, str(path))
    if outcome.status == "pushed" and outcome.model and Path(outcome.model).is_dir():
        _register(client, run, made, model_name, stable)
    client.set_terminated(made, _STATUS[outcome.status], _ms(run.ended))
    return str(made)


def _register(client: MlflowClient, run: FinishedRun, made: str, model_name: str, stable: str | None) -> None:
    outcome = run.outcome
    client.log_artifacts(made, str(outcome.model), "model")
    try:
        client.create_registered_model(model_name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    source = f"{client.get_run(made).info.artifact_uri}/model"
    tags = {"melanosizer.version": str(outcome.version), "data_version": outcome.data_version}
    version: Any = client.create_model_version(model_name, source, run_id=made, tags=tags)
    if stable == outcome.version:
        client.set_registered_model_alias(model_name, "stable", version.version)


def _ms(time: datetime) -> int:
    return int(time.timestamp() * 1000)

import json
from pathlib import Path

import pytest

from core.errors import UsageError
from core.workspace import Workspace
from pipeline import config
from pipeline.dag import ClassifierSteps, create_pipeline, run_key
from pipeline.targets import local


def test_the_store_is_a_file_of_the_workspace_by_default(tmp_path: Path):
    connection = local.connection(None, Workspace(tmp_path))
    assert connection.sqlite.filename_uri == str(tmp_path / "metadata.sqlite")


def test_a_postgresql_url_is_understood_and_the_password_comes_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv(local.PASSWORD_VARIABLE, "s3cret")
    connection = local.connection("postgresql://mlmd@db.example:5433/meta", Workspace(tmp_path))
    found = connection.postgresql
    assert (found.host, found.port, found.dbname, found.user) == ("db.example", "5433", "meta", "mlmd")
    assert found.password == "s3cret"


def test_a_mysql_url_is_understood(tmp_path: Path):
    connection = local.connection("mysql://mlmd@db.example/meta", Workspace(tmp_path))
    assert (connection.mysql.host, connection.mysql.port, connection.mysql.database) == (
        "db.example",
        3306,
        "meta",
    )


@pytest.mark.parametrize("url", ["sqlite:///x", "mysql://host", "postgresql:///db", "nonsense"])
def test_another_url_names_the_valid_forms(tmp_path: Path, url: str):
    with pytest.raises(UsageError, match="must be mysql://user@host:port/database or postgresql://"):
        local.connection(url, Workspace(tmp_path))


def test_a_password_in_the_url_is_refused_because_the_configuration_is_recorded(tmp_path: Path):
    with pytest.raises(UsageError, match="leave the password out"):
        local.connection("mysql://u:secret@host/db", Workspace(tmp_path))


def test_a_pipeline_of_workers_is_refused(tmp_path: Path):
    settings = config.load("smoke", {"trainer.distribution": "workers"})
    where = local.locations(
        workspace=Workspace(tmp_path),
        data=tmp_path,
        data_version="d" * 64,
        run_id="1",
        preset="smoke",
    )
    with pytest.raises(UsageError, match="distribution=workers: a step of the pipeline is one process"):
        create_pipeline(ClassifierSteps(settings), where)


def test_the_pipeline_runs_its_gates_in_order(tmp_path: Path):
    settings = config.load("smoke")
    where = local.locations(
        workspace=Workspace(tmp_path),
        data=tmp_path,
        data_version="d" * 64,
        run_id="r",
        preset="smoke",
    )
    steps = local.step_names(local.compiled(create_pipeline(ClassifierSteps(settings), where), "r"))
    order = [
        steps.index(name) for name in ("data-gate", "Transform", "Trainer", "Evaluator", "Pusher", "registry")
    ]
    assert order == sorted(order)
    assert steps.index("serving-check") < steps.index("Pusher")
    assert list(tmp_path.iterdir()) == [], "wiring the pipeline must touch nothing"


@pytest.mark.parametrize(
    ("weights", "seen"),
    [
        ("imagenet", "imagenet"),
        ("pushed:1700000000", "pushed:{root}/serving/melanoma/1700000000"),
        ("pushed:1700000000#member=0", "pushed:{root}/serving/melanoma/1700000000#member=0"),
        ("pushed:/models/7", "pushed:/models/7"),
    ],
)
def test_the_trainer_is_told_the_folder_of_a_pushed_version(tmp_path: Path, weights: str, seen: str):
    settings = config.load("smoke", {"trainer.weights": weights})
    where = local.locations(
        workspace=Workspace(tmp_path), data=tmp_path, data_version="d", run_id="r", preset="smoke"
    )
    trainer = next(
        c for c in create_pipeline(ClassifierSteps(settings), where).components if c.id == "Trainer"
    )
    told = json.loads(trainer.exec_properties["custom_config"])
    assert told["trainer"]["weights"] == seen.format(root=tmp_path)


def test_a_search_runs_between_the_gate_and_the_trainer_and_only_where_it_is_configured(tmp_path: Path):
    space = "{space: {head.dropout: {values: [0.1, 0.3]}}}"
    found = {}
    for name, overrides in (("plain", {}), ("tuned", {"tuner": space})):
        settings = config.load("smoke", overrides)
        where = local.locations(
            workspace=Workspace(tmp_path),
            data=tmp_path,
            data_version="d",
            run_id="r",
            preset="smoke",
        )
        compiled = local.compiled(create_pipeline(ClassifierSteps(settings), where), "r")
        found[name] = (local.step_names(compiled), run_key(settings, where))
    steps = found["tuned"][0]
    order = [steps.index(n) for n in ("data-gate", "Transform", "Tuner", "tuned-hyperparameters", "Trainer")]
    assert order == sorted(order)
    assert [step for step in steps if step not in ("Tuner", "tuned-hyperparameters")] == found["plain"][0]
    assert found["plain"][1] != found["tuned"][1]

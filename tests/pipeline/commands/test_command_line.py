"""The command line as a user meets it: help, exit codes, plain errors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from core.errors import UsageError
from pipeline.__main__ import app

COMMANDS = [
    ["quickstart"],
    ["synth"],
    ["ingest"],
    ["run"],
    ["train-worker"],
    ["compile"],
    ["submit"],
    ["report"],
    ["evaluate"],
    ["serve"],
    ["predict"],
    ["predict-batch"],
    ["baselines"],
    ["dashboard"],
    ["doctor"],
    ["models", "list"],
    ["models", "show"],
    ["models", "promote"],
    ["models", "rollback"],
    ["study", "ladder"],
    ["study", "segmentation"],
    ["study", "retrain"],
]

runner = CliRunner()


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example(command: list[str]):
    result = runner.invoke(app, [*command, "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert f"Example:  melanosizer {' '.join(command)}" in result.output


def test_every_command_is_tested():
    listed = {command.name for command in app.registered_commands}
    assert listed == {command[0] for command in COMMANDS if len(command) == 1}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--data", "/nowhere"], "--data /nowhere: does not exist"),
        (["run", "--data", ".", "--preset", "best"], "--preset best: unknown; valid are"),
        (["run", "--data", ".", "--set", "evaluator.min_auc"], "--set evaluator.min_auc: write key=value"),
        (["models", "list", "--workspace", "/nowhere"], "no workspace there"),
        (["evaluate", "--data", ".", "--split", "dev"], "valid are train, eval, test and all"),
        (["evaluate", "--data", "nosuch"], "--data nosuch: "),
        (
            ["run", "--data", ".", "--set", "evaluator.min_auc=[0.9"],
            "--set evaluator.min_auc=[0.9: the value is not",
        ),
        (["run", "--data", ".", "--preset", "latin.yaml"], "--preset latin.yaml: cannot be read"),
        (["predict", "latin.yaml", "--token-file", "nosuch"], "cannot read nosuch"),
        (["predict-batch", "--images", "/nowhere", "--out", "x.csv"], "--images /nowhere: is no folder"),
        (["predict-batch", "--images", ".", "--out", "no/x.csv"], "--out no/x.csv: there is no folder no"),
    ],
)
def test_a_mistake_is_a_usage_error_that_says_what_to_do(
    arguments: list[str], message: str, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "latin.yaml").write_bytes("about: für".encode("latin-1"))
    result = runner.invoke(app, arguments)
    assert isinstance(result.exception, UsageError)
    assert message in str(result.exception)


def test_a_mistake_ends_with_2_and_one_line_not_a_traceback(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "models", "list", "--workspace", str(tmp_path / "none")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: --workspace")
    assert "Traceback" not in done.stderr


def test_help_answers_without_loading_tensorflow():
    code = (
        "import sys; from pipeline.__main__ import app; assert not {'tensorflow', 'tfx'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_doctor_finds_this_environment_in_order():
    result = runner.invoke(app, ["doctor"], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    assert "glibc" in result.output

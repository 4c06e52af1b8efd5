"""The command line as a user meets it: help, exit codes, plain errors."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from core.errors import UsageError
from core.workspace import Workspace
from pipeline import config
from pipeline.__main__ import app
from pipeline.commands.listing import print_list

COMMANDS = [
    ["quickstart"],
    ["synth"],
    ["ingest"],
    ["run"],
    ["presets"],
    ["runs"],
    ["train-worker"],
    ["compile"],
    ["submit"],
    ["report"],
    ["evaluate"],
    ["send"],
    ["recalibrate"],
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
        (["recalibrate"], "give one of --data (labelled pictures) and --field"),
        (
            ["recalibrate", "--data", ".", "--field", "x.csv"],
            "give one of --data (labelled pictures) and --field",
        ),
        (["models", "rollback", "--why", " "], "--why: is empty; say in a few words"),
        (["models", "list", "--workspace", "/nowhere"], "no workspace there"),
        (["evaluate", "--data", ".", "--split", "dev"], "valid are train, eval, test and all"),
        (["evaluate", "--data", "nosuch"], "--data nosuch: "),
        (
            ["run", "--data", ".", "--set", "evaluator.min_auc=[0.9"],
            "--set evaluator.min_auc=[0.9: the value is not",
        ),
        (["run", "--data", ".", "--preset", "latin.yaml"], "--preset latin.yaml: cannot be read"),
        (["predict", "latin.yaml", "--token-file", "nosuch"], "nosuch: cannot be read"),
        (["predict", "."], "`melanosizer predict-batch --images . --out FILE.csv` reads one"),
        (["predict-batch", "--images", "/nowhere", "--out", "x.csv"], "--images /nowhere: is not a folder"),
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


HEAVY = {"tensorflow", "tfx", "keras", "apache_beam", "sklearn", "cv2", "kfp", "google.cloud.aiplatform"}
LIGHT = [
    ["run", "--data", "/nowhere"],
    ["run", "--data", ".", "--preset", "qick"],
    ["run", "--data", ".", "--set", "evaluator.min_acu=1"],
    ["quickstart", "--data", "/nowhere"],
    ["quickstart", "--preset", "qick"],
    ["evaluate", "--data", "/nowhere"],
    ["train-worker", "--out", "x", "--preset", "qick"],
    ["compile", "--image", "i", "--out", "p.yaml", "--preset", "qick"],
    ["submit", "--image", "i", "--preset", "qick"],
    ["models", "rollback", "--why", ""],
    ["models", "list", "--workspace", "/nowhere"],
    ["runs", "--workspace", "/nowhere"],
    ["report", "--workspace", "/nowhere"],
    ["study", "ladder", "--data", "/nowhere"],
    ["study", "retrain", "--data", "/nowhere"],
    ["baselines", "--data", "/nowhere"],
    ["presets"],
    ["--help"],
]


def test_nothing_heavy_is_imported_before_a_mistake_is_told(tmp_path: Path):
    # One after another in one process: whatever the first ones import, the later ones have.
    code = (
        "import json, sys\n"
        "from pipeline.__main__ import main\n"
        "for arguments in json.loads(sys.argv.pop()):\n"
        "    sys.argv[1:] = arguments\n"
        "    try: main()\n"
        "    except SystemExit as end:\n"
        f"        print('ended', json.dumps([arguments, end.code, sorted({HEAVY!r} & set(sys.modules))]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(LIGHT)],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    ended = [json.loads(line[6:]) for line in done.stdout.splitlines() if line.startswith("ended ")]
    assert ended == [[one, 0 if one[0] in {"presets", "--help"} else 2, []] for one in LIGHT], done.stderr


def test_the_version_is_the_packages():
    result = runner.invoke(app, ["--version"])
    assert (result.exit_code, result.output) == (0, f"melanosizer {version('melanosizer')}\n")


@pytest.mark.parametrize("command", [[], *COMMANDS, ["models"], ["study"]], ids=" ".join)
def test_a_flag_has_no_type(command: list[str]):
    assert "<bool>" not in runner.invoke(app, [*command, "--help"], env={"COLUMNS": "200"}).output


def _options(command: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    for name, one in getattr(command, "commands", {}).items():
        yield from _options(one, f"{path} {name}".strip())
    for parameter in command.params:
        yield path, parameter


def test_every_option_and_argument_is_told_in_a_whole_sentence():
    found = list(_options(typer.main.get_command(app)))
    poor = [
        f"{path} {one.opts[-1]}: {one.help}"
        for path, one in found
        if not re.fullmatch(r"(?!Of )[A-Z]\S*( \S+){2,}\.", " ".join((one.help or "").split()))
    ]
    assert poor == []
    assert len(found) > 100


def test_an_option_says_what_holds_without_it():
    """Typer shows the defaults that are values; what stands for a missing one is a sentence."""
    said = [f"{path} {one.opts[-1]}: {one.help}" for path, one in _options(typer.main.get_command(app))]
    assert [one for one in said if re.search(r"\bdefault\b|\bleft out:|; without it", one)] == []


def test_a_workspace_has_the_short_name_w_everywhere():
    found = {
        path: option.opts
        for path, option in _options(typer.main.get_command(app))
        if "--workspace" in option.opts
    }
    assert len(found) > 10
    assert [path for path, names in found.items() if "-w" not in names] == []


def test_presets_are_listed_as_a_table_and_as_json():
    listed = json.loads(runner.invoke(app, ["presets", "--json"]).output)
    assert [row["preset"] for row in listed] == config.preset_names()
    text = runner.invoke(app, ["presets"]).output
    assert all(name in text for name in config.preset_names())


def test_runs_are_listed_newest_first_and_a_damaged_one_beside_the_others(tmp_path: Path):
    place = Workspace(tmp_path / "w")
    place.prepare()
    good = {"status": "pushed", "started": "2026-01-02T03:04:05Z", "seconds": 61.2, "preset": "quick"}
    good |= {"metrics": {"auc": 0.91}, "version": "17"}
    for name, text in (("1", json.dumps(good)), ("2", "{"), ("3", None), ("4", '{"metrics": []}')):
        place.run(name).mkdir()
        if text is not None:
            (place.run(name) / "run.json").write_text(text)
    listed = json.loads(runner.invoke(app, ["runs", "-w", str(place.root), "--json"]).output)
    assert [row["run"] for row in listed] == ["4", "3", "2", "1"]
    assert "damaged" in listed[0]["verdict"]
    assert "no record" in listed[1]["verdict"]
    assert "damaged" in listed[2]["verdict"]
    assert (listed[3]["AUC"], listed[3]["seconds"], listed[3]["version"]) == (0.91, 61, "17")


def test_a_piped_list_cuts_nothing():
    stream = io.StringIO()
    rows = [{"version": "1" * 60, "why": "a word " * 30, "AUC": None}]
    print_list(rows, title="t", key="version", as_json=False, console=Console(file=stream, width=80))
    assert "1" * 60 in stream.getvalue()
    assert ("a word " * 30).strip() in stream.getvalue()


def test_doctor_finds_this_environment_in_order():
    result = runner.invoke(app, ["doctor"], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    assert "glibc" in result.output
    assert "EfficientNet-Lite0, Lite1, Lite2" in result.output

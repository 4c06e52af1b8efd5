from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from components.ingest.source import Source
from core.errors import UsageError
from pipeline.commands.ingest import ingest
from pipeline.progress import ImageLines


@pytest.fixture
def app() -> typer.Typer:
    made = typer.Typer()
    made.command("ingest")(ingest)
    return made


def test_the_table_and_the_account_are_printed(
    tmp_path: Path, app: typer.Typer, table: Callable[..., Source]
) -> None:
    source = table([{"image_name": f"im{n}", "target": n % 3 // 2} for n in range(20)])
    (source.path.parent / "images" / "im0.jpg").write_bytes(b"Dear doctor")
    result = CliRunner().invoke(
        app, ["--source", str(source), "--out", str(tmp_path / "out"), "--decoders", "0"]
    )
    assert result.exit_code == 0, result.output
    assert "check: 20 of 20 images" in result.output
    assert "20 rows read = 19 written + 1 quarantined" in result.output
    assert "not_an_image" in result.output
    assert "class weights of the training split" in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--source", "zip:x"], "the kind 'zip' is unknown; valid are siim2020"),
        (["--source", "csv:/absent"], "/absent does not exist"),
        (["--source", "csv:x", "--fractions", "7/2/1"], "fractions.train"),
        (["--source", "csv:x", "--fractions", "0.5/0.2/0.2"], "add up to 0.9"),
        (["--source", "csv:x", "--fractions", "half"], "write train/eval/test, as in 0.70/0.15/0.15"),
        (["--source", "csv:x", "--max-side", "3"], "max_side = 3"),
    ],
)
def test_wrong_usage_is_explained(tmp_path: Path, app: typer.Typer, arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "out")])
    assert isinstance(result.exception, UsageError)
    assert said in str(result.exception)


def test_help_has_an_example(app: typer.Typer) -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert "Example: melanosizer ingest --source siim2020:" in " ".join(result.output.split())


def test_a_log_gets_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    lines = ImageLines(Console())
    for done in range(101):
        lines("check", done, 100)
    assert capsys.readouterr().out.splitlines() == ["check: 0 of 100 images", "check: 100 of 100 images"]


def test_names_and_what_became_of_them_are_printed(
    tmp_path: Path, app: typer.Typer, table: Callable[..., Source]
) -> None:
    names = ["nevus", "Malignant melanoma", "melanoma?"]
    source = table([{"image_name": f"im{n}", "diagnosis": names[n % 3]} for n in range(30)])
    result = CliRunner().invoke(
        app, ["--source", str(source), "--out", str(tmp_path / "out"), "--decoders", "0"]
    )
    lines = [" ".join(line.replace("│", " ").split()) for line in result.output.splitlines()]
    assert {"nevus 0 10", "Malignant melanoma 1 (positive) 10", "melanoma? no_label 10"} <= set(lines)


def test_a_positive_diagnosis_that_no_row_has_is_refused(
    tmp_path: Path, app: typer.Typer, table: Callable[..., Source]
) -> None:
    source = table([{"image_name": f"im{n}", "diagnosis": "nevus" if n % 2 else "mel"} for n in range(9)])
    arguments = ["--source", str(source), "--out", str(tmp_path / "out"), "--decoders", "0"]
    result = CliRunner().invoke(app, [*arguments, "--positive", "mel", "--positive", "bbc"])
    assert str(result.exception) == "no row has the positive diagnosis 'bbc'; there are mel, nv"


def test_a_span_is_added_with_the_rules_of_its_data_set(
    tmp_path: Path, app: typer.Typer, table: Callable[..., Source]
) -> None:
    first = table([{"image_name": f"im{n}", "target": n % 3 // 2} for n in range(20)])
    second = table([{"image_name": f"new{n}", "target": n % 3 // 2} for n in range(20)], name="later")
    out = ["--out", str(tmp_path / "out"), "--decoders", "0"]
    CliRunner().invoke(app, ["--source", str(first), *out, "--seed", "7"])
    result = CliRunner().invoke(app, ["--source", str(second), *out, "--add"])
    assert result.exit_code == 0, result.output
    assert "images of span 1: 20, span 2: 20" in result.output
    wrong = CliRunner().invoke(app, ["--source", str(second), *out, "--add", "--seed", "8"])
    assert "was ingested with seed = 7, the new span with 8" in str(wrong.exception)
    absent = CliRunner().invoke(app, ["--source", str(second), "--out", str(tmp_path / "none"), "--add"])
    assert "is not an ingested data set" in str(absent.exception)

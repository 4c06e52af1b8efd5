"""`melanosizer baselines` from made-up lesions to its report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from core.errors import UsageError
from pipeline.__main__ import app
from studies.baselines import extract, frozen_cnn
from tests.support.html_document import Document

runner = CliRunner()


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ingested data set of 90 procedural lesions."""
    folder = tmp_path_factory.mktemp("baselines")
    made = runner.invoke(
        app,
        [
            "synth",
            "--images",
            "90",
            "--seed",
            "5",
            "--out",
            str(folder / "raw"),
            "--size",
            "96",
            "--melanoma-share",
            "0.3",
        ],
    )
    assert made.exit_code == 0, made.output
    source = f"csv:{folder / 'raw' / 'metadata.csv'},images={folder / 'raw' / 'images'}"
    done = runner.invoke(
        app, ["ingest", "--source", source, "--out", str(folder / "data"), "--fractions", "0.5/0.25/0.25"]
    )
    assert done.exit_code == 0, done.output
    return folder / "data"


@pytest.mark.slow
def test_every_system_gets_a_row_and_a_place_in_the_report(synthetic, tmp_path, monkeypatch):
    monkeypatch.setattr("studies.baselines.frozen_cnn._SIZE", 64)
    monkeypatch.setattr("studies.baselines.perceptron._GENERATIONS", 10)
    monkeypatch.setattr("studies.baselines.perceptron._CUPS", 10)
    arguments = ["baselines", "--data", str(synthetic), "--workspace", str(tmp_path / "ws"), "--workers", "1"]
    done = runner.invoke(app, [*arguments, "--weights", "none"], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    folder = tmp_path / "ws" / "studies" / "baselines"
    rows = json.loads((folder / "rows.json").read_text())
    assert len(rows) == 8
    assert all(0 <= row["auc"]["low"] <= row["auc"]["value"] <= row["auc"]["high"] <= 1 for row in rows)
    html = (folder / "report.html").read_text()
    document = Document(html)
    assert not document.open
    assert not document.tags & {"script", "link", "iframe"}
    assert "https://" not in html
    for row in rows:
        assert row["name"] in document.text
    assert "No version was released" in document.text

    def never(*_):
        raise AssertionError("figures were computed twice")

    monkeypatch.setattr(extract, "_described", never)
    monkeypatch.setattr(frozen_cnn.FeatureExtractor, "pooled", never)
    again = runner.invoke(app, [*arguments, "--weights", "none"])
    assert again.exit_code == 0, again.output
    repeated = json.loads((folder / "rows.json").read_text())
    assert [row["auc"] for row in repeated] == [row["auc"] for row in rows]


def test_weights_that_do_not_fit_are_a_usage_error(synthetic, tmp_path):
    done = runner.invoke(
        app,
        [
            "baselines",
            "--data",
            str(synthetic),
            "--workspace",
            str(tmp_path),
            "--workers",
            "1",
            "--weights",
            "/no/file.h5",
        ],
    )
    assert isinstance(done.exception, UsageError)
    assert "/no/file.h5" in str(done.exception)

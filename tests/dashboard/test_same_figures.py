"""One run has the same figures on its report, its cards, the dashboard, the terminal, in the registry and in a study."""

from __future__ import annotations

import html
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from core import numbers
from core.measures.calibration import CALIBRATION_METHOD
from core.workspace import Workspace
from dashboard.settings import Settings
from pipeline import summary
from pipeline.outcome import Outcome
from pipeline.report import page
from tests.dashboard.rig import Running
from tests.support import fake_run

NAMES = ("auc", "sensitivity", "specificity")
PARTIAL = "partial_auc"


def text(markup: str) -> str:
    """What a reader sees, with plain spaces."""
    words = re.sub(r"<(style|script).*?</\1>", " ", markup, flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", words)))


class Run:
    """A run's outcome, its report and cards, and the dashboard over the same workspace."""

    def __init__(self, root: Path) -> None:
        self.result: Outcome
        self.workspace: Workspace
        self.result, self.workspace = fake_run.write(root, images=1200)
        self.report = page.write(self.result, self.workspace)
        self.card: dict[str, Any] = json.loads((self.report.parent / "model_card.json").read_text())
        self.running = Running(Settings(workspace=self.workspace.root, model_server="127.0.0.1:1"))
        self.viewer = self.running.signed_in("viewer")
        self.address = f"/models/{fake_run.VERSION}/evaluation"
        self.evaluation: dict[str, Any] = self.viewer.json(self.address)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The run, which the tests here only read."""
    made = Run(tmp_path_factory.mktemp("run"))
    with made.running.client:
        yield made


def spread(interval: dict[str, float], written: Callable[[float], str]) -> str:
    """An interval as report and card print it."""
    return text(" ".join([written(interval["value"]), numbers.interval(interval["low"], interval["high"])]))


def test_card_and_dashboard_hold_the_same_numbers(run: Run) -> None:
    card, evaluation = run.card["metrics"], run.evaluation
    for name in NAMES:
        assert card[name] == pytest.approx(evaluation[name]), name
    assert card["calibration_error"]["value"] == pytest.approx(evaluation["calibration_error"])
    assert card["brier_score"]["value"] == pytest.approx(evaluation["brier"])
    assert run.card["operating_point"] == evaluation["stored_threshold"] == fake_run.THRESHOLD
    zones = run.card["network"]["zones"]
    assert {key: evaluation["stored_zones"][key] for key in zones} == zones == fake_run.MODEL["zones"]
    (column,) = run.viewer.json(f"/runs/compare?run={run.result.run_id}")["columns"]
    assert column["auc"] == evaluation["auc"]
    assert column["calibration_error"] == evaluation["calibration_error"]


def test_registry_and_terminal_hold_the_same_numbers(run: Run) -> None:
    path = run.workspace.root / "registry" / "melanoma" / f"{fake_run.VERSION}.json"
    record = json.loads(path.read_text())
    for name in (*NAMES, PARTIAL):
        assert record["metrics"][name] == pytest.approx(run.card["metrics"][name]["value"]), name
    assert record["metrics"]["threshold"] == run.card["operating_point"]
    version = run.viewer.json(f"/models/{fake_run.VERSION}")
    assert version["version"]["metrics"] == record["metrics"]
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(summary.table(run.result, run.workspace, None))
    printed = console.export_text()
    for name in NAMES:
        assert numbers.rate(run.card["metrics"][name]["value"]) in printed, name


def test_what_is_printed_is_the_same_everywhere(run: Run) -> None:
    card = text((run.report.parent / "model_card.html").read_text())
    report = text(run.report.read_text())
    shown = text(run.viewer.get(run.address).text)
    found = run.card["metrics"]
    for name in (*NAMES, PARTIAL, "calibration_error"):
        assert spread(found[name], numbers.rate) in card, name
    for name in ("auc", "calibration_error"):
        assert spread(found[name], numbers.rate) in report, name
    partial = found[PARTIAL]
    above = numbers.interval(partial["low"], partial["high"])
    assert f"above 80 % sensitivity is {numbers.rate(partial['value'])} ({above}) of at most 0.2" in report
    auc = found["auc"]
    assert f"AUC {numbers.rate(auc['value'])} {numbers.interval(auc['low'], auc['high'])}" in shown
    for name in ("sensitivity", "specificity"):
        written = [text(numbers.percent(found[name][key])) for key in ("value", "low", "high")]
        in_words = f"{written[0]} {written[1]} to {written[2]}"
        assert in_words in report, name
        assert f"{name.title()} {in_words}" in shown, name
    error = run.evaluation["calibration_error"]
    assert f"Calibration error {error:.4f} {CALIBRATION_METHOD}" in shown
    assert numbers.rate(error) in report
    assert CALIBRATION_METHOD in report


def test_zones_hold_the_same_lesions(run: Run) -> None:
    """The report counts lesions, the dashboard says how many that is in 1,000."""
    report, zones = text(run.report.read_text()), run.evaluation["stored_zones"]
    images = run.card["test_images"]
    for name, melanomas, others in (
        ("low", "missed", "cleared"),
        ("review", "reviewed", "looked_at"),
        ("refer", "found", "needless"),
    ):
        positives = round(zones[melanomas] * images / 1000)
        inside = positives + round(zones[others] * images / 1000)
        row = re.search(rf"\b{name} (?:below|from|[0-9.]+ % to) [0-9.]+ % ([0-9,]+) ([0-9,]+)", report)
        assert row is not None, name
        assert [int(number.replace(",", "")) for number in row.groups()] == [inside, positives], name


def test_a_study_measures_the_same(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The row of the comparison with other methods, made from the same answers."""
    from components.evaluator import predictions
    from studies.baselines import compare

    answers = predictions.load(run.result.uri("Evaluator", "evaluation"))
    monkeypatch.setattr(compare, "Model", lambda folder: folder)
    monkeypatch.setattr(
        compare.predictions, "predict", lambda *_, **__: ((answer, b"") for answer in answers)
    )
    row, why = compare.released(run.workspace, Path(run.result.data), fake_run.VERSION, fake_run.DATA_VERSION)
    assert row is not None, why
    assert row.threshold == run.card["operating_point"]
    for name in NAMES:
        interval = getattr(row, name)
        shown = {key: getattr(interval, key) for key in ("value", "low", "high")}
        assert shown == pytest.approx(run.card["metrics"][name]), name

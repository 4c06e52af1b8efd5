"""The report of `melanosizer study ladder`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.charts import marks
from core.numbers import count, duration
from studies.ladder.networks import ExperimentResult
from studies.page import Page, Section, Table, curve, name, spread

SHORT = ("rung", "AUC", "epochs", "training")


def page(
    results: Sequence[ExperimentResult],
    failures: Mapping[str, str],
    rungs: int,
    facts: Sequence[tuple[str, str]],
) -> Page:
    """Return the page of the rungs that are done, of `rungs` in all, and of those that failed."""
    whole = [row for row in results if not row.cut_short]
    short = len(results) - len(whole)
    verdict = f"{len(results)} of {rungs} rungs measured."
    if whole:
        best = max(whole, key=lambda row: row.auc.value)
        verdict += f" Highest AUC of those that had all their epochs: {best.title}, {best.auc}."
    if short:
        verdict += f" {short} were cut short by the budget, marked with *: they show that the rung runs, not what it can do."
    for rung, reason in failures.items():
        verdict += f" {rung} failed: {reason}."
    if any("random" in row.weights for row in results):
        verdict += " Where ImageNet's weights could not be had, the rung started from random ones, and its row says so."
    families = list(dict.fromkeys(row.network for row in results))
    return Page(
        title="The first study's ladder",
        verdict=verdict,
        facts=facts,
        sections=[
            Section(
                "table",
                "All rungs",
                "Trained by the product's own trainer on one split with one seed and one budget; measured on the same "
                "test images. The study's scores are the competition's, on other images: only their order compares.",
                tables=[_table(results)],
            ),
            *(
                _curves(number, family, [row for row in results if row.network == family])
                for number, family in enumerate(families)
            ),
        ],
    )


def cells(row: ExperimentResult) -> dict[str, str]:
    """Return a row's words for a terminal by heading."""
    return {
        "rung": row.name,
        "parameters": count(row.parameters),
        "study": f"{_score(row.study.private)} / {_score(row.study.public)}",
        "AUC": str(row.auc),
        "missed": f"{row.false_negatives} of {row.positives}",
        "epochs": _epochs(row),
        "training": f"{row.seconds:.0f} s",
        "first weights": row.weights,
    }


def _table(results: Sequence[ExperimentResult]) -> Table:
    rows = [
        [
            name(row.title, f"{count(row.parameters)} parameters; first weights: {row.weights}"),
            name(_score(row.study.private), f"public {_score(row.study.public)}"),
            spread(row.auc),
            marks.whisker(row.auc, low=0.2, overall=0.5),
            f"{row.false_negatives} of {row.positives}",
            name(_epochs(row), f"{count(row.steps)} step{'s' if row.steps > 1 else ''}"),
            duration(row.seconds),
        ]
        for row in results
    ]
    return Table(
        headings=("rung", "study, private", "AUC here", "", "missed at 0.5", "epochs", "training"),
        rows=rows,
        left=(0, 3),
        notes=("* fewer epochs than the preset asks for: the budget ended it. Intervals by DeLong.",),
    )


def _curves(number: int, family: str, results: Sequence[ExperimentResult]) -> Section:
    figures = []
    for measure, label, text, low in (
        ("loss", "training loss", "Mean of the loss since the evaluation before.", None),
        ("eval_auc", "AUC on eval", "Area under the ROC curve after each epoch.", None),
        ("false_negatives", "false negatives", "Melanomas of eval below a probability of one half.", 0.0),
    ):
        series = {
            row.title: [(float(epoch), one[measure]) for epoch, one in enumerate(row.history, 1)]
            for row in results
        }
        figures.append(curve(label, text, "epoch", series, low))
    return Section(
        f"curves-{number}",
        family[0].upper() + family[1:],
        "An epoch is a pass over the training images, or what the budget left of it.",
        figures=figures,
    )


def _epochs(row: ExperimentResult) -> str:
    return f"{row.epochs:.2g} of {row.wanted_epochs:g}{' *' if row.cut_short else ''}"


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"

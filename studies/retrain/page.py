"""The report of `melanosizer study retrain`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from components.trainer.data.records import Split
from core.charts.series import lines
from core.charts.spec import svg
from core.numbers import duration, rate
from studies.page import Figure, Page, Section, Table, picture
from studies.retrain.flow import RetrainConfig, Retrained

_SHOWN = 24


def page(config: RetrainConfig, found: Retrained, test: Split, facts: Sequence[tuple[str, str]]) -> Page:
    """Return the page: the final test, the curves, the mistakes with their pictures."""
    rows = [
        ["AUC", rate(found.test.auc.value), f"{rate(found.test.auc.low)} to {rate(found.test.auc.high)}"],
        ["accuracy", rate(found.accuracy), "–"],
        *(
            [name, rate(spread.value), f"{rate(spread.low)} to {rate(spread.high)}"]
            for name, spread in (
                ("sensitivity", found.test.sensitivity),
                ("specificity", found.test.specificity),
            )
        ),
        ["training", duration(found.seconds), "–"],
        ["first weights", found.weights, "–"],
    ]
    figures = [
        Figure(title, text, svg(lines(title, "step", title, {title: points})))
        for title, text, points in (
            ("loss", "Mean since the evaluation before.", [(float(x), row.loss) for x, row in found.history]),
            (
                "AUC on eval",
                "Area under the ROC curve.",
                [(float(x), row.figures["eval_auc"]) for x, row in found.history],
            ),
        )
    ]
    place = {name: row for row, name in enumerate(test.names)}
    pictures = [
        picture(
            np.asarray(test.pictures[place[name]]),
            f"{value:.0%} melanoma",
            f"{name}, is {'melanoma' if target else 'not melanoma'}",
        )
        for name, target, value in found.misclassified[:_SHOWN]
    ]
    return Page(
        title="The retrain flow",
        verdict=(
            f"{config.backbone} with a new head: AUC {found.test.auc} on {found.test.images} test images, "
            f"{len(found.misclassified)} misclassified. First weights: {found.weights}."
        ),
        facts=facts,
        sections=[
            Section(
                "test",
                "Final test",
                "Asked once, at a probability of one half.",
                tables=[Table(("", "value", "95 %"), rows)],
            ),
            Section("curves", "Training", "The network is frozen; only the head learns.", figures=figures),
            Section(
                "mistakes",
                "Misclassified",
                f"The surest {min(_SHOWN, len(found.misclassified))} of {len(found.misclassified)}; all are in misclassified.csv.",
                galleries=[("Surest first", pictures)] if pictures else (),
            ),
        ],
    )

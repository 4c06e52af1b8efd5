"""The report of `melanosizer study retrain`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from components.trainer.data.records import Split
from core.numbers import duration, rate
from studies.page import Page, Section, Table, curve, measured, picture
from studies.retrain.flow import RetrainConfig, Retrained

_SHOWN = 24


def page(config: RetrainConfig, found: Retrained, test: Split, facts: Sequence[tuple[str, str]]) -> Page:
    """Return the page: the final test, the curves, the mistakes with their pictures."""
    rows = [
        measured("AUC", found.test.auc),
        ["accuracy", rate(found.accuracy), "–"],
        measured("sensitivity", found.test.sensitivity),
        measured("specificity", found.test.specificity),
        ["training", duration(found.seconds), "–"],
        ["first weights", found.weights, "–"],
    ]
    loss = [(float(step), row.loss) for step, row in found.history]
    auc = [(float(step), row.figures["eval_auc"]) for step, row in found.history]
    figures = [
        curve("loss", "Mean since the evaluation before.", "step", {"loss": loss}),
        curve("AUC on eval", "Area under the ROC curve.", "step", {"AUC on eval": auc}),
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

"""The report of `melanosizer study segmentation`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from core.numbers import count, duration, rate
from studies.page import Page, Picture, Section, Table, curve, measured, spread
from studies.segmentation.experiment import Result
from studies.segmentation.measured import interval, worst_tenth
from studies.segmentation.runner import UnetRun

Galleries = Sequence[tuple[str, Sequence[Picture]]]
_MEASURES = "accuracy", "sensitivity", "specificity"
_HEADINGS = "images", "AUC", "mean of folds", *_MEASURES, "AUC, difference", "p (DeLong)", "p (McNemar)"


def page(
    run: UnetRun | None,
    galleries: Galleries,
    experiments: Sequence[Result],
    out_of_fold: float | None,
    facts: Sequence[tuple[str, str]],
) -> Page:
    """Return the page of what was run."""
    sentences = []
    sections = []
    if run is not None:
        jaccard = interval([score.jaccard for score in run.scores])
        sentences.append(
            f"The U-Net's mean Jaccard is {jaccard} on {len(run.scores)} held-out pairs; "
            + (f"version {run.version} was pushed." if run.version else "nothing was pushed.")
        )
        masks = Section(
            "masks",
            "Masks",
            "Blue: the true outline. Orange: the U-Net's. Test pairs, which neither training nor the threshold saw.",
            galleries=galleries,
        )
        sections += [_unet(run), masks]
    if experiments:
        sentences += [f"{result.classifier}: {result.sentence}" for result in experiments]
        sections.append(_experiment(experiments, out_of_fold))
    return Page("Does segmentation help?", " ".join(sentences), sections, facts)


def _unet(run: UnetRun) -> Section:
    config = run.facts["config"]
    assert isinstance(config, dict)  # noqa: S101 - written by our own export
    jaccard, dice = ([getattr(score, name) for score in run.scores] for name in ("jaccard", "dice"))
    table = Table(
        headings=("on test, each at its own size", "value", "95 %"),
        rows=[
            measured("mean Jaccard", interval(jaccard)),
            measured("mean Dice", interval(dice)),
            ["median Jaccard", rate(float(np.median(jaccard))), "–"],
            ["mean Jaccard of the worst tenth", rate(worst_tenth(run.scores)), "–"],
            ["pairs below a Jaccard of 0.5", str(sum(value < 0.5 for value in jaccard)), "–"],
        ],
        notes=[check.sentence() for verdict in run.verdicts for check in verdict.refusals]
        or ["Every check of the gates held."],
    )
    network = Table(
        headings=("the network", ""),
        rows=[
            ["input", f"{config['width']} x {config['height']} px"],
            ["depth, filters of the first level", f"{config['depth']}, {config['filters']}"],
            ["parameters", count(float(str(run.facts["parameters"])))],
            ["threshold, chosen on eval", str(run.facts["threshold"])],
            ["training", duration(float(str(run.facts["training_seconds"])))],
        ],
    )
    figures = [
        curve(title, text, "epoch", {title: [(row["epoch"], row.get(name)) for row in run.history]})
        for name, title, text in (
            ("loss", "loss", "Dice and cross-entropy of augmented training pairs."),
            ("eval_jaccard", "Jaccard on eval", "One view, threshold one half, the network's size."),
        )
    ]
    return Section(
        "unet",
        "The U-Net",
        "Trained from random weights on the training pairs alone; masks are what the `segment` signature answers.",
        tables=[table, network],
        figures=figures,
    )


def _experiment(experiments: Sequence[Result], out_of_fold: float | None) -> Section:
    tables = []
    for result in experiments:
        rows = [
            [
                arm.variant,
                spread(arm.auc),
                f"{arm.auc_of_folds:.3f}",
                *(spread(getattr(arm, name)) for name in _MEASURES),
                "–" if arm.difference is None else spread(arm.difference),
                "–" if arm.p_auc is None else f"{arm.p_auc:.3f}",
                "–" if arm.p_accuracy is None else f"{arm.p_accuracy:.3f}",
            ]
            for arm in result.arms
        ]
        tables.append(
            Table(
                headings=_HEADINGS,
                rows=rows,
                title=f"{result.classifier} (first weights: {result.weights})",
                notes=(
                    result.sentence,
                    f"{result.images} images, {result.positives} melanomas, {result.folds} folds; loss weighted by 1 - frequency; decisions at one half.",
                ),
            )
        )
    mean = "" if out_of_fold is None else f" Their mean Jaccard out of fold is {out_of_fold:.3f}."
    return Section(
        "experiment",
        "Whole or cut",
        "The same classifier on the same folds: whole images, images with everything outside the true mask black, and "
        f"outside the mask of a U-Net that never saw the image.{mean}",
        tables=tables,
    )

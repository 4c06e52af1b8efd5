"""The report of `melanosizer baselines`."""

from __future__ import annotations

from collections.abc import Sequence

from components.baselines.compare import Row
from pipeline.report.charts import rows as charts
from pipeline.report.numbers import count, duration, rate
from pipeline.studies.page import Page, Section, Table


def page(rows: Sequence[Row], product: Row | None, facts: Sequence[tuple[str, str]], missing: str) -> Page:
    """Return the page; `product` is the released model on the same split, `missing` why there is none."""
    ranked = sorted([*rows, *([product] if product else [])], key=lambda row: -row.auc.value)
    table = Table(
        headings=(
            "system", "AUC", "95 %", "", "sensitivity", "95 %", "specificity", "95 %",
            "figures", "fitting", "ms an image", "source",
        ),
        rows=[_cells(row) for row in ranked],
        left=(0, 3, 11),
        chosen=[index for index, row in enumerate(ranked) if row is product],
        notes=(
            "Sensitivity and specificity at a threshold that was chosen on eval, or published; stratified bootstrap "
            "intervals, as the Evaluator's.",
            "Figures and fitting: seconds of the clock over the three splits, on whatever else the machine did.",
        ),
    )  # fmt: skip
    best = ranked[0]
    return Page(
        title="The surveyed systems on the same data",
        verdict=f"Highest AUC: {best.name}, {best.auc}. {'' if product else missing}".strip(),
        facts=facts,
        sections=[
            Section(
                "table",
                "Comparison",
                "Each system is fitted on train, gets its threshold on eval and is measured once on test.",
                tables=[table],
                missing="" if product else missing,
            )
        ],
    )


def cells(row: Row) -> list[str]:
    """Return a row's words for a terminal: name, AUC, sensitivity, specificity, times."""
    return [
        row.name,
        str(row.auc),
        str(row.sensitivity),
        str(row.specificity),
        f"{row.describe_seconds:.0f} s",
        f"{row.fit_seconds:.1f} s",
    ]


def _cells(row: Row) -> list[str]:
    each = 1000 * row.describe_seconds / max(1, row.images)
    return [
        row.name,
        rate(row.auc.value),
        f"{rate(row.auc.low)} to {rate(row.auc.high)}",
        charts.whisker(row.auc, 0.5, None, 0.4, "model"),
        rate(row.sensitivity.value),
        f"{rate(row.sensitivity.low)} to {rate(row.sensitivity.high)}",
        rate(row.specificity.value),
        f"{rate(row.specificity.low)} to {rate(row.specificity.high)}",
        duration(row.describe_seconds) if row.describe_seconds else "–",
        duration(row.fit_seconds),
        f"{each:.1f}" if each else count(None),
        row.source,
    ]

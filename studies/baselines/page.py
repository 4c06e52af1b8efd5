"""The report of `melanosizer baselines`."""

from __future__ import annotations

from collections.abc import Sequence

from core.charts import marks
from core.numbers import count, duration
from studies.baselines.compare import Row
from studies.page import Page, Section, Table, name, spread


def page(rows: Sequence[Row], product: Row | None, facts: Sequence[tuple[str, str]], missing: str) -> Page:
    """Return the page; `product` is the released model on the same split, `missing` why there is none."""
    ranked = sorted([*rows, *([product] if product else [])], key=lambda row: -row.auc.value)
    table = Table(
        headings=("system", "AUC", "", "sensitivity", "specificity", "figures", "fitting", "ms an image"),
        rows=[_cells(row) for row in ranked],
        left=(0, 2),
        chosen=[index for index, row in enumerate(ranked) if row is product],
        notes=(
            "Thresholds were chosen on eval, or published. Intervals are 95 %: of the AUC by DeLong's method, "
            "as everywhere, of the shares by Wilson's score.",
            "Figures (computing what the system looks at, for all three splits) and fitting: seconds of the clock, on "
            "whatever else the machine did.",
        ),
    )
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
        name(row.name, row.source),
        spread(row.auc),
        marks.whisker(row.auc, low=0.4, overall=0.5),
        spread(row.sensitivity),
        spread(row.specificity),
        duration(row.describe_seconds) if row.describe_seconds else "–",
        duration(row.fit_seconds),
        f"{each:.1f}" if each else count(None),
    ]

"""Which changes of the picture a model does not bear, in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from core.numbers import percent

LOST: Final = 0.10  # of the sensitivity at the operating point: more is said aloud


def weaknesses(robustness: Mapping[str, Any] | None) -> list[str]:
    """Return a sentence for each change that costs more than `LOST` of the sensitivity, the worst first."""
    if not robustness or not robustness.get("rows"):
        return []
    plain, *changed = robustness["rows"]
    weak = [row for row in changed if plain["sensitivity"] - row["sensitivity"] > LOST]
    return [
        f"With {row['change']} ({row['strength']}) it finds {percent(row['sensitivity'])} of the melanomas of eval "
        f"at the same operating point, instead of {percent(plain['sensitivity'])}."
        for row in sorted(weak, key=lambda row: float(row["sensitivity"]))
    ]

"""The verdict every gate writes: which number, which slice, which limit, and whether it held."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

from pydantic import Field

from core.settings import Frozen

OVERALL = "overall"
FILE_NAME = "verdict.json"


class Check(Frozen):
    """One comparison of a measured value with its limit."""

    metric: str = Field(description="what was measured, e.g. auc")
    slice: str = Field(default=OVERALL, description="the part of the data it was measured on, e.g. sex:male")
    value: float | None = Field(description="the measured value; null where it could not be measured")
    comparison: Literal[">=", "<=", "=="] = Field(description="how value must compare with limit")
    limit: float = Field(description="the configured limit")
    passed: bool
    detail: str = Field(default="", description="what a reader needs to act on a refusal")

    def sentence(self) -> str:
        """Return the check in one line, as the command line prints it."""
        value = "not measurable" if self.value is None else _number(self.value)
        where = "" if self.slice == OVERALL else f" on {self.slice}"
        text = f"{self.metric}{where} is {value}, must be {self.comparison} {_number(self.limit)}"
        return f"{text}: {self.detail}" if self.detail else text


class Verdict(Frozen):
    """What one gate decided, with every check it made, those that held included."""

    gate: str = Field(description="the gate's name: data | model | serving")
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """True when every check held."""
        return all(check.passed for check in self.checks)

    @property
    def refusals(self) -> tuple[Check, ...]:
        """The checks that did not hold."""
        return tuple(check for check in self.checks if not check.passed)

    def save(self, folder: Path) -> Path:
        """Write the verdict into ``folder`` and return the file's path."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / FILE_NAME
        path.write_text(self.model_dump_json(indent=2) + "\n")
        return path

    @classmethod
    def load(cls, folder: Path) -> Verdict:
        """Read the verdict that :meth:`save` wrote into ``folder``."""
        return cls.model_validate_json((folder / FILE_NAME).read_text())


class GateRefusedError(Exception):
    """A gate refused; the message lists every check that did not hold."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        reasons = "; ".join(check.sentence() for check in verdict.refusals)
        super().__init__(f"the {verdict.gate} gate refused: {reasons}")


def at_least(
    metric: str,
    value: float | None,
    limit: float,
    slice: str = OVERALL,
    detail: str = "",
    *,
    setting: str = "",
) -> Check:
    """Return the check ``value >= limit``; a value that is missing or NaN fails.

    ``setting`` holds the limit; it is empty where the limit is fixed.
    """
    return _check(metric, value, ">=", limit, slice, detail, setting)


def at_most(
    metric: str,
    value: float | None,
    limit: float,
    slice: str = OVERALL,
    detail: str = "",
    *,
    setting: str = "",
) -> Check:
    """Return the check ``value <= limit``; a value that is missing or NaN fails, and ``setting`` holds the limit."""
    return _check(metric, value, "<=", limit, slice, detail, setting)


def _check(
    metric: str,
    value: float | None,
    comparison: Literal[">=", "<="],
    limit: float,
    slice: str,
    detail: str,
    setting: str,
) -> Check:
    holds = value is not None and (value >= limit if comparison == ">=" else value <= limit)
    return Check(
        metric=metric,
        slice=slice,
        value=None if value is None or not math.isfinite(value) else float(value),
        comparison=comparison,
        limit=limit,
        passed=bool(holds),  # a comparison with numpy's numbers is not a bool
        # In the detail, not a field of its own: versions released before are read by the same record.
        detail="; ".join(filter(None, (detail, setting and f"the limit is {setting}"))),
    )


def _number(value: float) -> str:
    return f"{value:.0f}" if float(value).is_integer() and abs(value) >= 2 else f"{value:.4g}"

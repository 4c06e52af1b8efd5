"""A gate's verdict: every check it made, as run.json and the registry keep them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

OVERALL = "overall"


class Check(BaseModel):
    """One comparison of a measured value with its limit."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    metric: str = Field(description="what was measured")
    slice: str = Field(OVERALL, description="the part of the data it was measured on")
    value: float | None = Field(description="the measured value; null where it could not be measured")
    comparison: str = Field(description="how value must compare with limit")
    limit: float
    passed: bool
    detail: str = ""


class Verdict(BaseModel):
    """What one gate decided."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    gate: str = Field(description="data, model or serving")
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """True when every check held."""
        return all(check.passed for check in self.checks)

    @property
    def refusals(self) -> tuple[Check, ...]:
        """The checks that did not hold."""
        return tuple(check for check in self.checks if not check.passed)


def verdicts(found: Any) -> tuple[Verdict, ...]:
    """Verdicts of a document; what has not their form is left out."""
    result = []
    for one in found if isinstance(found, list) else []:
        try:
            result.append(Verdict.model_validate(one))
        except ValueError:
            continue
    return tuple(result)

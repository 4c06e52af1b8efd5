"""Sentences for refused settings."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from core.settings import closest, did_you_mean, explain


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")
    learning_rate: float = Field(default=0.1, gt=0)
    kind: Literal["adam", "sgd"] = "adam"


class _Whole(BaseModel):
    model_config = ConfigDict(extra="forbid")
    part: _Part = _Part()
    parts: tuple[_Part, ...] = ()
    named: dict[str, _Part] = {}
    maybe: Annotated[_Part | None, Field(description="one or none")] = None
    low: float = 0.0
    high: float = 1.0
    needed: int

    @model_validator(mode="after")
    def _order(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low ({self.low:g}) must be below high ({self.high:g})")
        return self


def _refused(**values: object) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        _Whole.model_validate({"needed": 1} | values)
    return explain(caught.value, _Whole)


@pytest.mark.parametrize(
    "values",
    [
        {"part": {"learning_rat": 1}},
        {"parts": [{}, {"learning_rat": 1}]},
        {"named": {"any": {"learning_rat": 1}}},
        {"maybe": {"learning_rat": 1}},
    ],
)
def test_an_unknown_key_names_the_valid_ones_and_the_closest_however_deep(values: dict[str, object]) -> None:
    (line,) = _refused(**values)
    assert line.endswith(
        ".learning_rat: unknown key; valid: kind, learning_rate. Did you mean 'learning_rate'?"
    )


def test_a_key_that_resembles_none_gets_no_suggestion() -> None:
    (line,) = _refused(xyzzy=1)
    assert line == "xyzzy: unknown key; valid: high, low, maybe, named, needed, part, parts."


def test_a_bad_value_is_shown_with_its_key() -> None:
    assert _refused(part={"learning_rate": -1}) == ["part.learning_rate = -1: Input should be greater than 0"]


def test_a_word_that_is_not_one_of_a_few_gets_the_closest() -> None:
    assert _refused(part={"kind": "adma"}) == [
        "part.kind = 'adma': valid: adam, sgd. Did you mean 'adam'?",
    ]


def test_a_missing_key_says_so() -> None:
    with pytest.raises(ValidationError) as caught:
        _Whole.model_validate({})
    assert explain(caught.value, _Whole) == ["needed: missing, and it has no default"]


def test_a_rule_about_several_keys_speaks_for_itself() -> None:
    assert _refused(low=2) == ["low (2) must be below high (1)"]


def test_every_fault_has_a_line_and_the_prefix_of_an_option() -> None:
    with pytest.raises(ValidationError) as caught:
        _Part.model_validate({"learning_rate": 0, "knd": 1})
    assert explain(caught.value, _Part, prefix="--") == [
        "--learning_rate = 0: Input should be greater than 0",
        "--knd: unknown key; valid: kind, learning_rate. Did you mean 'kind'?",
    ]


def test_without_the_model_a_key_is_still_named() -> None:
    with pytest.raises(ValidationError) as caught:
        _Part.model_validate({"knd": 1})
    assert explain(caught.value) == ["knd: unknown key"]


def test_the_last_word_of_a_long_key_is_enough() -> None:
    assert closest("rate", ["optimiser.rate", "optimiser.decay"]) == "optimiser.rate"
    assert closest("rate", ["first.rate", "second.rate"]) is None
    assert did_you_mean("prot", ["port", "host"], prefix="--") == " Did you mean '--port'?"
    assert did_you_mean("zzz", ["port", "host"]) == ""

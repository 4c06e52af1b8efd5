"""Decides the label of an image from everything its row states; statements that contradict each other are refused."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from components.ingest import diagnosis as diagnoses
from components.ingest.diagnosis import MELANOMA, Diagnosis

MALIGNANT: Final = "malignant"  # as a positive diagnosis: whatever is stated to be malignant
_MALIGNANT_NAMES: Final = frozenset({"mel", "bcc", "akiec", "scc", MALIGNANT})


class UnlabelledError(Exception):
    """A row has no label; ``reason`` is a key of ``row.REASONS``."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True, slots=True)
class Statements:
    """What a row says about its image."""

    diagnosis: str = ""  # the name as it is written; empty where there is none
    target: int | None = None  # what a column of melanoma yes or no says
    malignant: bool | None = None  # what a column of benign or malignant says
    others: tuple[str, ...] = ()  # the names in further columns of diagnoses


def decide(said: Statements, positive: tuple[str, ...]) -> tuple[int, str | None]:
    """Return the label and the canonical diagnosis; without ``positive`` diagnoses positive means melanoma.

    Raises:
        UnlabelledError: the statements contradict each other, are not understood, or settle nothing.
    """
    absent = diagnoses.is_absent(said.diagnosis)
    found = None if absent else diagnoses.understood(said.diagnosis)
    _check(said, found, positive)
    if not absent and found is None and (said.target is None or positive):
        raise UnlabelledError(
            "no_label", f"the diagnosis {said.diagnosis!r} is not a name that ingest understands"
        )
    label = _of_positive(said, found, positive) if positive else _melanoma(said, found)
    if label is None:
        raise UnlabelledError("no_label", _why(said, found, positive))
    for other in said.others:
        _check_other(other, said, found, label, positive)
    if found is not None:
        return label, found.name
    return label, None if absent else diagnoses.normalised(said.diagnosis)


def _check(said: Statements, found: Diagnosis | None, positive: tuple[str, ...]) -> None:
    name = repr(said.diagnosis)
    if found is None and diagnoses.mentions_melanoma(said.diagnosis) and said.target == 0:
        raise UnlabelledError("label_conflict", f"target 0, but the diagnosis is {name}")
    if said.target == 1 and said.malignant is False:
        raise UnlabelledError("label_conflict", "target 1, but benign")
    if said.target == 0 and said.malignant and (found is None or found.name == MELANOMA):
        raise UnlabelledError("label_conflict", "target 0, but malignant, and no diagnosis settles it")
    if found is None or found.malignant is None:
        return
    # Tables differ in what they call an actinic keratosis.
    if said.malignant is not None and said.malignant != found.malignant and found.name != "akiec":
        stated = "malignant" if said.malignant else "benign"
        raise UnlabelledError("label_conflict", f"{stated}, but the diagnosis is {name}")
    if found.name == MELANOMA and said.target == 0:
        raise UnlabelledError("label_conflict", f"target 0, but the diagnosis is {name}")
    if not positive and said.target == 1 and found.name != MELANOMA:
        raise UnlabelledError(
            "label_conflict",
            f"target 1, but the diagnosis is {name}: if target means malignant, name the positive diagnoses",
        )


def _check_other(
    other: str, said: Statements, found: Diagnosis | None, label: int, positive: tuple[str, ...]
) -> None:
    """Refuse a row whose further diagnosis would give another label, or is malignant where the first is benign."""
    second = diagnoses.understood(other)
    if second is None or (second.malignant is None and second.name != "akiec"):
        contradicts = label == 0 and diagnoses.mentions_melanoma(other)
    else:
        try:
            contradicts = decide(replace(said, diagnosis=other, others=()), positive)[0] != label
        except UnlabelledError:
            contradicts = True
        if found is not None and "akiec" not in {found.name, second.name}:
            contradicts |= None is not found.malignant != second.malignant
    if contradicts:
        raise UnlabelledError("label_conflict", f"the diagnosis is {said.diagnosis!r}, and {other!r} too")


def _melanoma(said: Statements, found: Diagnosis | None) -> int | None:
    if said.target is not None:
        return said.target
    if found is not None:
        settled = found.malignant is not None or found.name == "akiec"
        return int(found.name == MELANOMA) if settled else None
    # Benign is certainly not a melanoma; malignant alone may be a carcinoma.
    return 0 if said.malignant is False else None


def _of_positive(said: Statements, found: Diagnosis | None, positive: tuple[str, ...]) -> int | None:
    wanted = {diagnoses.closest(name) for name in positive}
    malignant = said.malignant if said.malignant is not None else (found.malignant if found else None)
    if found is not None and found.name in wanted:
        return 1
    if MALIGNANT in wanted and malignant is not None:
        return int(malignant)
    if found is not None:
        return 0 if found.malignant is not None or found.name == "akiec" else None
    if said.target == 1 and MELANOMA in wanted:
        return 1
    return 0 if malignant is False and wanted <= _MALIGNANT_NAMES else None


def _why(said: Statements, found: Diagnosis | None, positive: tuple[str, ...]) -> str:
    if found is not None:
        return f"the diagnosis {said.diagnosis!r} is indeterminate"
    if said.malignant:
        return "malignant, without a diagnosis: it may be a melanoma or a carcinoma"
    if positive:
        return f"without a diagnosis it cannot be told whether it is one of {', '.join(positive)}"
    return "neither a target nor a diagnosis is given"

"""What data sets call a diagnosis, and which names are melanoma.

The vocabulary (``diagnosis.yaml``) is the ISIC Archive's own (all five levels of ``isic_metadata``'s
``DiagnosisEnum``, which its server checks uploads with), the short names of HAM10000 (Tschandl et al., Sci. Data
5:180161), ISIC 2018 and 2019, PAD-UFES-20 (Pacheco et al., Data in Brief 32:106221) and derm7pt (Kawahara et al., IEEE
J-BHI 23(2)), and what clinics write. A name that is in none of them is not understood: it never becomes a label.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

import yaml
from isic_metadata.diagnosis_hierarchical import DiagnosisEnum

MELANOMA: Final = "mel"
UNKNOWN: Final = frozenset(
    {"", "unknown", "unk", "na", "n/a", "nan", "none", "null", "nil", "other", "?", "-", "--", "."}
)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What a name means."""

    name: str  # mel, nv, bcc, akiec, scc, bkl, df or vasc; else the archive's name in lower case
    malignant: bool | None  # None where the archive calls it indeterminate, or the name leaves it open


_WORDS: Final[dict[str, Any]] = yaml.safe_load(
    resources.files("components.ingest").joinpath("diagnosis.yaml").read_text(encoding="utf-8")
)
_SHORT: Final[dict[str, bool]] = _WORDS["short"]
_FIRST_LEVELS: Final = {"benign": False, "malignant": True, "indeterminate": None}
# A name of a kind's words alone, one of its nouns among them, is one of the kind.
_COMPOSED: Final = tuple(
    (short, frozenset(_WORDS[f"{kind}_nouns"]), frozenset(_WORDS[f"{kind}_words"]))
    for short, kind in (("mel", "melanoma"), ("nv", "nevus"))
)


def normalised(text: str | None) -> str:
    """Return a name without what spellings differ in: case, Unicode form, separators, brackets and quotes."""
    plain = unicodedata.normalize("NFKC", text or "").replace("’", "'").replace("'", "")
    # Names from folders and code: NotMelanoma, BasalCellCarcinoma.
    plain = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", plain)
    return " ".join(re.sub(r"[_\-,;/()\[\]\"\s]+", " ", plain).casefold().split())


def is_absent(text: str | None) -> bool:
    """Whether a cell says nothing, in one of the ways that tables say it."""
    return (text or "").strip().casefold() in UNKNOWN


@cache
def understood(text: str) -> Diagnosis | None:
    """Return what a name means, None where it is not understood.

    A path of the archive ("Malignant:...:Melanoma Invasive") counts by its deepest level that is understood, unless that
    contradicts its first. Other colons ("melanoma: no"), and a sign before or behind a name, say something of their own.
    """
    if ":" in text:
        return _of_path([normalised(part) for part in text.split(":") if part.strip()])
    name = normalised(text)
    if not name or name in UNKNOWN or text.strip().strip("-\u2013\u2014") != text.strip():
        return None
    return _vocabulary().get(name) or _composed(name)


def _of_path(levels: list[str]) -> Diagnosis | None:
    first = levels[0] if levels else ""
    if first not in _FIRST_LEVELS:
        return None
    found = next(filter(None, map(understood, reversed(levels[1:]))), None)
    if found is None:
        return _vocabulary().get(first) if len(levels) == 1 else None
    # The archive calls an actinic keratosis indeterminate.
    agrees = found.name == "akiec" or found.malignant is None or found.malignant == _FIRST_LEVELS[first]
    return found if agrees else None


def mentions_melanoma(text: str) -> bool:
    """Whether a name, understood or not, speaks of melanoma."""
    return "melanom" in _unaccented(normalised(text))


def closest(name: str) -> str:
    """Return the canonical name of a configured diagnosis: a short name, or the archive's in lower case."""
    found = understood(name)
    return normalised(name) if found is None else found.name


@cache
def _vocabulary() -> dict[str, Diagnosis]:
    names: dict[str, Diagnosis] = {}
    for entry in DiagnosisEnum:
        parts = entry.value.lower().split(":")
        malignant = _FIRST_LEVELS[parts[0]]
        # One of the two may be a melanoma.
        malignant = None if parts[-1].startswith("collision - at least one malignant") else malignant
        if len(parts) > 1:
            short = _short(parts)
            names[normalised(parts[-1])] = (
                Diagnosis(short, _SHORT[short]) if short else Diagnosis(parts[-1], malignant)
            )
    for name in _WORDS["benign"]:
        names.setdefault(normalised(name), Diagnosis(name, False))
    for name in _WORDS["indeterminate"]:
        names[normalised(name)] = Diagnosis(name, None)
    for short, aliases in _WORDS["aliases"].items():
        for name in (short, *aliases):
            names[normalised(name)] = Diagnosis(short, _SHORT[short])
    return names


def _short(parts: list[str]) -> str | None:
    paths = (":".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((_WORDS["tree"][path] for path in paths if path in _WORDS["tree"]), None)


def _composed(name: str) -> Diagnosis | None:
    words = {_unaccented(word) for word in name.split()}
    # Of a thickness the numbers say nothing more; "melanoma 0" may say no.
    if "mm" in words:
        words = {word for word in words if not word.replace(".", "").isdigit()}
    for short, nouns, others in _COMPOSED:
        if words & nouns and words <= nouns | others:
            return Diagnosis(short, _SHORT[short])
    for phrase, short in (
        ("basal cell carcinoma", "bcc"),
        ("bcc", "bcc"),
        ("squamous cell carcinoma", "scc"),
        ("scc", "scc"),
        ("actinic keratosis", "akiec"),
    ):
        rest = set(f" {name} ".replace(f" {phrase} ", " ", 1).split())
        if f" {phrase} " in f" {name} " and rest <= set(_WORDS["carcinoma_words"]):
            return Diagnosis(short, True)
    return None


def _unaccented(text: str) -> str:
    """Melanome for Mélanome."""
    return "".join(one for one in unicodedata.normalize("NFD", text) if not unicodedata.combining(one))

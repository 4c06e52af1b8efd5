"""What the steps' names for things are in a reader's words."""

from __future__ import annotations

import re
from importlib import resources
from typing import Final

import yaml

from core.records.verdict import OVERALL

_WORDS: Final[dict[str, dict[str, str]]] = yaml.safe_load(
    resources.files("pipeline.report").joinpath("words.yaml").read_text(encoding="utf-8")
)
GROUPS, DIAGNOSES, METRICS, GATES, STATES, STEPS, FACTS = (
    _WORDS[name] for name in ("groups", "diagnoses", "metrics", "gates", "states", "steps", "facts")
)
CARCINOMAS: Final = frozenset({"bcc", "akiec", "scc"})  # and what becomes one
# Metrics whose values are 0 or 1.
YES_OR_NO: Final = frozenset({"loads_and_answers", "refuses", "answers_after_bad_requests"})
COMPARISONS: Final = {">=": "≥", "<=": "≤", "==": "="}
NOT_A_DEVICE: Final = (
    "This is a research tool, not a medical device: no number here may decide about a patient, "
    "and every lesion that worries somebody belongs in front of a dermatologist."
)


def fact(key: str) -> str:
    """Return a readable name of what a model says of itself, e.g. ``zone low: below`` for ``zones.low_below``."""
    member = re.fullmatch(r"backbone\.members\[(\d+)\]\.(\w+)", key)
    if member:
        return f"member {int(member[1]) + 1}: {member[2].replace('_', ' ')}{', px' if member[2] == 'size' else ''}"
    return FACTS.get(key, key.replace("_", " ").replace(".", ": "))


def group(feature: str) -> str:
    """Return a feature by which images are grouped, as it stands in a sentence, e.g. ``age`` for ``age_band``."""
    return GROUPS.get(feature, feature).split(",")[0].lower()


def metric(name: str) -> str:
    """Return a check's metric in words."""
    return METRICS.get(name, name.replace("_", " "))


def slice_name(name: str) -> str:
    """Return ``sex: male`` for ``sex:male``, ``all test images`` for the whole."""
    if name == OVERALL:
        return "all"
    feature, _, rest = name.partition(":")
    if feature == "split":
        return f"{rest} split"
    if feature == "external":
        return f"{rest}, from elsewhere"
    if feature == "request":
        return rest.replace("_", " ")
    return f"{group(feature)}: {value(rest)}"


def became(label: str) -> str:
    """Return what a row of the data became, e.g. ``melanoma``, ``left out: unknown label``."""
    known = {"1": "melanoma", "0": "other lesion"}
    return known.get(label) or f"left out: {label.replace('_', ' ')}"


def value(text: str) -> str:
    """Return a group's value as people write it, e.g. ``45–59``, ``nevus``."""
    if text in DIAGNOSES:
        return DIAGNOSES[text]
    low, dash, high = text.partition("-")
    return f"{low}–{high}" if dash and low.isdigit() and high.isdigit() else text

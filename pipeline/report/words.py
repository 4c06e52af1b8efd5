"""What the steps' names for things are in a reader's words."""

from __future__ import annotations

import re
from typing import Final

from core.records.verdict import OVERALL

GROUPS: Final = {
    "sex": "Sex",
    "age_band": "Age, years",
    "anatom_site": "Site",
    "skin_tone": "Skin tone, estimated",
    "image_quality": "Image quality, estimated",
    "source": "Source",
    "diagnosis": "Diagnosis",
}

DIAGNOSES: Final = {
    "mel": "melanoma",
    "nv": "nevus",
    "bcc": "basal cell carcinoma",
    "akiec": "actinic keratosis, Bowen's disease",
    "scc": "squamous cell carcinoma",
    "bkl": "benign keratosis",
    "df": "dermatofibroma",
    "vasc": "vascular lesion",
}
CARCINOMAS: Final = frozenset({"bcc", "akiec", "scc"})  # and what becomes one

METRICS: Final = {
    "auc": "AUC",
    "partial_auc": "partial AUC above 80 % sensitivity, at most 0.2",
    "calibration_error": "calibration error",
    "brier_score": "Brier score",
    "refused_as_no_dermoscopy": "lesions taken for no dermoscopy",
    "auc_change": "change of the AUC against the model blessed last",
    "sensitivity": "sensitivity (melanomas found)",
    "specificity": "specificity (other lesions cleared)",
    "positives": "melanomas",
    "positive_share": "share of melanomas",
    "positive_share_drift": "change of the share of melanomas since the data accepted last",
    "groups_in_two_splits": "patients or lesions in two splits",
    "images_in_two_splits": "identical images in two splits",
    "schema_anomalies": "anomalies against the schema",
    "loads_and_answers": "loads in a server's own loader, and answers",
    "difference_from_python": "largest difference from the Python path",
    "difference_in_a_batch": "largest difference between single and batched",
    "refuses": "refuses a bad request",
    "answers_after_bad_requests": "answers after bad requests",
    "latency_ms": "time of one image, ms",
    "load_seconds": "time to load, s",
}

GATES: Final = {
    "data": "Data gate",
    "model": "Model gate",
    "serving": "Serving gate",
}

# Their values are 0 or 1.
YES_OR_NO: Final = frozenset({"loads_and_answers", "refuses", "answers_after_bad_requests"})

STATES: Final = {
    "COMPLETE": "done",
    "CACHED": "taken from an earlier run",
    "FAILED": "failed",
    "CANCELED": "stopped",
    "RUNNING": "interrupted",
    "NEW": "not started",
    "UNKNOWN": "unknown",
}

FINISHED: Final = frozenset({"COMPLETE", "CACHED"})

STEPS: Final = {
    "ImportExampleGen": "Read the data set",
    "ImportSchemaGen": "Read the schema",
    "StatisticsGen": "Statistics of the data",
    "ExampleValidator": "Data against the schema",
    "ClassBalance": "Class balance",
    "DataGate": "Data gate",
    "Transform": "Preprocessing constants",
    "Trainer": "Training",
    "Evaluator": "Evaluation and model gate",
    "ServingCheck": "Serving gate",
    "Pusher": "Release",
    "RegistryRecord": "Registry",
    "Resolver": "Look-up of an earlier run",
}

COMPARISONS: Final = {">=": "≥", "<=": "≤", "==": "="}

NOT_A_DEVICE: Final = (
    "This is a research tool, not a medical device: no number here may decide about a patient, "
    "and every lesion that worries somebody belongs in front of a dermatologist."
)


FACTS: Final = {
    "backbone.name": "backbone",
    "backbone.weights": "first weights",
    "backbone.tta": "views of each picture that are averaged",
    "calibration.kind": "calibration",
    "calibration.scale": "calibration: factor on the log-odds",
    "calibration.shift": "calibration: added to the log-odds",
    "calibration.temperature": "calibration: temperature",
    "classes": "classes",
    "data_version": "data version",
    "model_version": "version",
    "operating_point.wanted_sensitivity": "operating point: sensitivity it was fixed for",
    "operating_point.sensitivity": "operating point: sensitivity on eval",
    "operating_point.sensitivity_interval": "operating point: its interval",
    "operating_point.specificity": "operating point: specificity on eval",
    "operating_point.specificity_interval": "operating point: the interval of that",
    "out_of_distribution.limit": "limit beyond which a picture is taken for no dermoscopy",
    "out_of_distribution.refused_on_eval": "share of eval beyond it",
    "preprocessing.channel_mean": "mean of red, green and blue, grey levels",
    "preprocessing.channel_std": "deviation of red, green and blue, grey levels",
    "preprocessing.resize": "resizing",
    "preprocessing.size": "size the network sees, px",
    "readout.others": "weight of a shadowed class in the read-out",
    "threshold": "operating point: refer from",
    "zones.low_below": "zone low: below",
    "zones.refer_from": "zone refer: from",
}


def fact(key: str) -> str:
    """Return a readable name of what a model says of itself, e.g. ``zone low: below`` for ``zones.low_below``."""
    member = re.fullmatch(r"backbone\.members\[(\d+)\]\.(\w+)", key)
    if member:
        return f"member {int(member[1]) + 1}: {member[2].replace('_', ' ')}{', px' if member[2] == 'size' else ''}"
    return FACTS.get(key, key.replace("_", " ").replace(".", ": "))


def metric(name: str) -> str:
    """Return a check's metric in words."""
    return METRICS.get(name, name.replace("_", " "))


def slice_name(name: str) -> str:
    """Return ``sex: male`` for ``sex:male``, ``all test images`` for the whole."""
    if name == OVERALL:
        return "all"
    group, _, rest = name.partition(":")
    if group == "split":
        return f"{rest} split"
    if group == "external":
        return f"{rest}, from elsewhere"
    if group == "request":
        return rest.replace("_", " ")
    name = GROUPS.get(group, group).split(",")[0].lower()
    return f"{name}: {value(rest)}"


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

"""The one home of feature names: what every record of the data set is called, and what it holds.

Written by ingest, validated against `schemas/features.pbtxt`, read by every later step.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Final, Literal, get_args

IMAGE: Final = "image"  # bytes, JPEG as the camera or the archive made it
IMAGE_NAME: Final = "image_name"  # bytes, unique in its source
SOURCE: Final = "source"  # bytes, the data set it came from
GROUP_ID: Final = (
    "group_id"  # bytes, the patient, else the lesion, else the image: never on two sides of a split
)
TARGET: Final = "target"  # int64, 1 = positive (melanoma by default)
DIAGNOSIS: Final = "diagnosis"  # bytes, optional
SEX: Final = "sex"  # bytes, optional
AGE: Final = "age_approx"  # float32, years, optional
SITE: Final = "anatom_site"  # bytes, optional

SPLITS: Final = ("train", "eval", "test")

# Derived from AGE; single years would make slices too small to judge.
AGE_BAND: Final = "age_band"
AGE_EDGES: Final = (30, 45, 60, 75)  # years
UNKNOWN: Final = "unknown"  # an absent value, wherever one must be shown

MODEL_NAME: Final = "melanoma"

# The model's contract with every client.
IMAGE_BYTES: Final = "image_bytes"  # input of serving_default: string [batch], JPEG or PNG
PROBABILITY: Final = "probability"  # float32 [batch], calibrated P(melanoma)
DECISION: Final = "decision"  # int64 [batch], 1 where probability >= threshold
THRESHOLD: Final = "threshold"  # float32 [batch], the stored operating point
ZONE: Final = "zone"  # string [batch], low | review | refer
OUT_OF_DISTRIBUTION: Final = (
    "out_of_distribution"  # float32 [batch], 1 where the image is not a dermoscopic one
)
LOW_BELOW: Final = "low_below"  # float32 [batch], the zone low ends here
REFER_FROM: Final = "refer_from"  # float32 [batch], the zone refer begins here
MODEL_VERSION: Final = "model_version"  # string [batch], the version the server's folder is called


Zone = Literal["low", "review", "refer"]
ZONES: Final[tuple[Zone, ...]] = get_args(Zone)


def age_band(age: float | None) -> str:
    """Return the band of an age in years, e.g. ``45-59``; ``unknown`` for a missing one."""
    if age is None or math.isnan(age):
        return UNKNOWN
    if age < AGE_EDGES[0]:
        return f"under {AGE_EDGES[0]}"
    for low, high in pairwise(AGE_EDGES):
        if age < high:
            return f"{low}-{high - 1}"
    return f"{AGE_EDGES[-1]} and over"


def class_weights(negatives: int, positives: int) -> tuple[float, float]:
    """Return the weights (of a negative, of a positive) that give both classes the same total.

    n / (2 n_c), the `balanced` heuristic of King and Zeng, Logistic Regression in Rare Events Data (2001): on
    52,302 benign images and 4,922 melanomas 0.55 and 5.81.

    Raises:
        ValueError: a class is empty.
    """
    if negatives < 1 or positives < 1:
        raise ValueError(
            f"{negatives} negatives and {positives} positives: both classes need at least one image"
        )
    total = negatives + positives
    return total / (2 * negatives), total / (2 * positives)

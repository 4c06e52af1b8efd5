"""The one home of feature names: what every record of the data set is called, and what it holds.

Written by ingest, validated against `schemas/features.pbtxt`, read by every later step.
"""

from __future__ import annotations

from typing import Final

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

MODEL_NAME: Final = "melanoma"

# The model's contract with every client.
IMAGE_BYTES: Final = "image_bytes"  # input of serving_default: string [batch], JPEG or PNG
PROBABILITY: Final = "probability"  # float32 [batch], calibrated P(melanoma)
DECISION: Final = "decision"  # int64 [batch], 1 where probability >= threshold
THRESHOLD: Final = "threshold"  # float32 [batch], the stored operating point
ZONE: Final = "zone"  # string [batch], low | review | refer
OUT_OF_DISTRIBUTION: Final = "out_of_distribution"  # float32 [batch], 1 where the image is no dermoscopy
MODEL_VERSION: Final = "model_version"  # string [batch], the version the server's folder is called

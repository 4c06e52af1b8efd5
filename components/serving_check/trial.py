"""Tries a SavedModel as a model server would: a fresh process, TensorFlow's C++ loader, real and bad requests."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tensorflow as tf

from components.serving_check.config import ServingCheckConfig
from components.serving_check.requests import BAD
from core.features import IMAGE_BYTES, PROBABILITY
from core.records.verdict import Check, Verdict, at_least, at_most
from core.tfserving.tensors import Array
from serving.engine.check import Answer, check_saved_model

TIMED_REQUESTS = 10
TIMEOUT_SECONDS = 600


def run(model: Path, images: Sequence[bytes], config: ServingCheckConfig) -> Verdict:
    """Return the verdict on ``model``, tried with ``images`` (JPEG bytes) and with bad requests.

    The requests, in order: each image alone, all as one batch, the bad ones, and the first image
    again until the latency is known, which also shows that the bad ones did no harm.
    """
    batches = [[image] for image in images]
    batches += [
        list(images),
        *([data] for data in BAD.values()),
        *([images[0]] for _ in range(TIMED_REQUESTS)),
    ]
    with ThreadPoolExecutor(1) as beside:
        # Loaded here while the other process imports TensorFlow.
        reference = beside.submit(_reference, model, images)
        seen = check_saved_model(
            model,
            [{IMAGE_BYTES: batch} for batch in batches],
            outputs=(PROBABILITY,),
            timeout=TIMEOUT_SECONDS,
        )
    answers = list(seen.answers)
    single, (together, *answers) = answers[: len(images)], answers[len(images) :] or [Answer(error="none")]
    bad, again = answers[: len(BAD)], answers[len(BAD) :]
    error = seen.load_error or next((item.error for item in (*single, together) if item.error), "")
    if error:
        failed = Check(
            metric="loads_and_answers", value=0.0, comparison=">=", limit=1.0, passed=False, detail=error
        )
        return Verdict(gate="serving", checks=(failed,))
    alone = np.concatenate([item.outputs[PROBABILITY] for item in single])
    unharmed = all(not item.error and _largest(item.outputs[PROBABILITY] - alone[0]) < 1e-6 for item in again)
    return Verdict(
        gate="serving",
        checks=(
            at_least("loads_and_answers", 1.0, 1.0),
            at_most("difference_from_python", _largest(alone - reference.result()), config.max_difference),
            at_most(
                "difference_in_a_batch",
                _largest(alone - together.outputs[PROBABILITY]),
                config.max_difference,
            ),
            *(_refusal(name, answer) for name, answer in zip(BAD, bad, strict=True)),
            at_least("answers_after_bad_requests", float(unharmed), 1.0),
            at_most(
                "latency_ms",
                statistics.median(item.seconds for item in again) * 1000,
                config.max_latency_ms,
                detail="median of single images",
            ),
            at_most("load_seconds", seen.load_seconds, config.max_load_seconds, detail="with the warm-up"),
        ),
    )


def _refusal(name: str, answer: Answer) -> Check:
    given = answer.error or f"answered {answer.outputs[PROBABILITY].tolist()}"
    refused = answer.code == "INVALID_ARGUMENT"
    return at_least("refuses", float(refused), 1.0, slice=f"request:{name}", detail=given[:200])


def _reference(model: Path, images: Sequence[bytes]) -> Array:
    answer = tf.saved_model.load(str(model)).signatures["serving_default"]
    outputs = answer(**{IMAGE_BYTES: tf.constant(list(images))})
    return np.asarray(outputs[PROBABILITY].numpy())


def _largest(differences: Array) -> float:
    largest = float(np.max(np.abs(differences)))
    return math.inf if math.isnan(largest) else largest

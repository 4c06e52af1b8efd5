"""Tries a SavedModel as a model server would: a fresh process, TensorFlow's C++ loader, real and bad requests."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Final

import numpy as np

from components.evaluator.model import Model
from components.serving_check.config import ServingCheckConfig
from core import tfrecord
from core.features import IMAGE, IMAGE_BYTES, PROBABILITY
from core.records.verdict import Check, Verdict, at_least, at_most
from core.tfserving.tensors import Array
from serving.engine.check import Answer, check_saved_model

TIMED_REQUESTS = 10
TIMEOUT_SECONDS = 600
# Each must be refused with INVALID_ARGUMENT, and must leave the model answering.
BAD: Final = {
    "empty": b"",
    "text": b"this is no image, whatever its name says",
    "jpeg_header_only": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01",
    "png_header_only": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x75\x30\x00\x00\x75\x30\x08\x06\x00\x00\x00",
}


def golden(files: Sequence[Path], count: int) -> list[bytes]:
    """Return the first ``count`` images of TFRecord ``files``.

    Raises:
        ValueError: the files hold no image.
    """
    records = chain.from_iterable(tfrecord.examples(file) for file in files)
    images = [bytes(tfrecord.first(record, IMAGE)) for record in islice(records, count)]
    if not images:
        raise ValueError(f"no image in {', '.join(str(file) for file in files) or 'an empty split'}")
    return images


@dataclass(frozen=True)
class Tried:
    """What a server would get of a model."""

    error: str  # why the model could not be loaded, or did not answer an image; without one the rest is given
    load_seconds: float  # until it was ready
    alone: Sequence[Answer] = ()  # the answer to each image
    together: Answer = field(default_factory=Answer)  # the answer to all of them as one batch
    refusals: Sequence[Check] = ()  # a check for each bad request
    again: Sequence[Answer] = ()  # answers to the first image, after the bad requests


def ask(
    model: Path, images: Sequence[bytes], output: str, *, signature: str = "serving_default", again: int = 0
) -> Tried:
    """Ask for ``output``: each image alone, all as one batch, the bad requests, the first image ``again`` times."""
    batches = [[image] for image in images]
    batches += [list(images), *([data] for data in BAD.values()), *([images[0]] for _ in range(again))]
    seen = check_saved_model(
        model,
        [{IMAGE_BYTES: batch} for batch in batches],
        signature=signature,
        outputs=(output,),
        timeout=TIMEOUT_SECONDS,
    )
    good, rest = seen.answers[: len(images) + 1], seen.answers[len(images) + 1 :]
    error = seen.load_error or next((item.error for item in good if item.error), "")
    if error:
        return Tried(error, seen.load_seconds)
    refusals = [_refusal(name, answer, output) for name, answer in zip(BAD, rest, strict=False)]
    return Tried("", seen.load_seconds, good[:-1], good[-1], refusals, rest[len(BAD) :])


def run(model: Path, images: Sequence[bytes], config: ServingCheckConfig) -> Verdict:
    """Return the verdict on ``model``, tried with ``images`` (JPEG bytes) and with bad requests."""
    with ThreadPoolExecutor(1) as beside:
        # Loaded here while the other process imports TensorFlow.
        reference = beside.submit(lambda: Model(model).answer(images)[PROBABILITY])
        seen = ask(model, images, PROBABILITY, again=TIMED_REQUESTS)
    if seen.error:
        failed = at_least("loads_and_answers", 0.0, 1.0, detail=seen.error)
        return Verdict(gate="serving", checks=(failed,))
    alone = np.concatenate([item.outputs[PROBABILITY] for item in seen.alone])
    together = seen.together.outputs[PROBABILITY]
    unharmed = all(
        not item.error and _largest(item.outputs[PROBABILITY] - alone[0]) < 1e-6 for item in seen.again
    )
    latency = statistics.median(item.seconds for item in seen.again) * 1000
    return Verdict(
        gate="serving",
        checks=(
            at_least("loads_and_answers", 1.0, 1.0),
            at_most(
                "difference_from_python",
                _largest(alone - reference.result()),
                config.max_difference,
                setting="serving_check.max_difference",
            ),
            at_most(
                "difference_in_a_batch",
                _largest(alone - together),
                config.max_difference,
                setting="serving_check.max_difference",
            ),
            *seen.refusals,
            at_least("answers_after_bad_requests", float(unharmed), 1.0),
            at_most(
                "latency_ms",
                latency,
                config.max_latency_ms,
                detail="median of single images",
                setting="serving_check.max_latency_ms",
            ),
            at_most(
                "load_seconds",
                seen.load_seconds,
                config.max_load_seconds,
                detail="with the warm-up",
                setting="serving_check.max_load_seconds",
            ),
        ),
    )


def _refusal(name: str, answer: Answer, output: str) -> Check:
    given = answer.error or f"answered {answer.outputs[output].tolist()}"
    refused = answer.code == "INVALID_ARGUMENT"
    return at_least("refuses", float(refused), 1.0, slice=f"request:{name}", detail=given[:200])


def _largest(differences: Array) -> float:
    largest = float(np.max(np.abs(differences)))
    return math.inf if math.isnan(largest) else largest

"""Tries a SavedModel as a model server would: a fresh process, TensorFlow's C++ loader, real and bad requests."""

from __future__ import annotations

import json
import math
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from components.features import IMAGE_BYTES, PROBABILITY
from components.gate.verdict import Check, Verdict, at_least, at_most
from components.serving_check.config import ServingCheckConfig
from components.serving_check.observation import Observation
from components.serving_check.requests import BAD

TIMEOUT_SECONDS = 600


def run(model: Path, images: Sequence[bytes], config: ServingCheckConfig) -> Verdict:
    """Return the verdict on ``model``, tried with ``images`` (JPEG bytes) and with bad requests."""
    try:
        seen = observe(model, images)
    except TrialFailedError as error:
        failed = Check(
            metric="loads_and_answers", value=0.0, comparison=">=", limit=1.0, passed=False, detail=str(error)
        )
        return Verdict(gate="serving", checks=(failed,))
    reference = _reference(model, images)
    single, batched = np.array(seen.single), np.array(seen.batched)
    return Verdict(
        gate="serving",
        checks=(
            at_least("loads_and_answers", 1.0, 1.0),
            at_most("difference_from_python", _largest(single - reference), config.max_difference),
            at_most("difference_in_a_batch", _largest(single - batched), config.max_difference),
            *(
                at_least("refuses", float(name in seen.refused), 1.0, slice=f"request:{name}", detail=answer)
                for name, answer in seen.bad.items()
            ),
            at_least("answers_after_bad_requests", float(seen.alive), 1.0),
            at_most("latency_ms", seen.latency_ms, config.max_latency_ms, detail="median of single images"),
            at_most("load_seconds", seen.load_seconds, config.max_load_seconds),
        ),
    )


class TrialFailedError(Exception):
    """The process that tried the model ended without an answer; the message is the end of what it said."""


def observe(model: Path, images: Sequence[bytes]) -> Observation:
    """Load ``model`` in a new process, send it everything, and return what came back.

    Raises:
        TrialFailedError: it did not load, did not answer, or died.
    """
    with tempfile.TemporaryDirectory() as scratch:
        requests = Path(scratch) / "requests.pickle"
        requests.write_bytes(pickle.dumps({"images": list(images), "bad": BAD}))
        command = [sys.executable, "-m", "components.serving_check.probe", str(model), str(requests)]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise TrialFailedError(f"no answer within {TIMEOUT_SECONDS} seconds") from None
    if done.returncode != 0:
        lines = [line for line in done.stderr.strip().splitlines() if line.strip()]
        raise TrialFailedError(
            " ".join(lines[-1:])[-500:] or f"the process ended with code {done.returncode}"
        )
    return Observation(**json.loads(done.stdout.strip().splitlines()[-1]))


def _reference(model: Path, images: Sequence[bytes]) -> np.ndarray:
    answer = tf.saved_model.load(str(model)).signatures["serving_default"]
    outputs = answer(**{IMAGE_BYTES: tf.constant(list(images))})
    return np.asarray(outputs[PROBABILITY].numpy(), dtype=np.float64)


def _largest(differences: np.ndarray) -> float:
    largest = float(np.max(np.abs(differences)))
    return math.inf if math.isnan(largest) else largest

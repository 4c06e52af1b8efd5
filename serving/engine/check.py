"""Is this SavedModel fit for serving? Asked of TensorFlow's C++ loader and session, in a process of its own.

`tf.saved_model.load` answers for models that TensorFlow Serving cannot run (it finds variables that the C++ loader
does not), and a broken model can take the process that loads it down with it. Neither process needs
`import tensorflow`: a check costs about two seconds and the model's own load.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.tfserving.tensors import Array, Value, from_proto, predict_request
from serving.api.json_worker import read_chunk, write_chunk
from serving.api.predict import run_predict
from serving.engine.capi import use_onednn
from serving.engine.model import DEFAULT_SIGNATURE, LoadOptions, Model
from serving.engine.warmup import warm_up
from serving.protos import predict_pb2
from serving.status import ServingError, internal


@dataclass(frozen=True)
class Answer:
    """What one request gave."""

    outputs: dict[str, Array] = field(default_factory=dict)
    error: str = ""  # "CODE: message", "" for success
    seconds: float = 0.0

    @property
    def code(self) -> str:
        """OK, or the name of the error's code."""
        return self.error.partition(":")[0] or "OK"


@dataclass(frozen=True)
class LoadCheck:
    """What a fresh process made of a SavedModel."""

    load_error: str  # "" for success
    load_seconds: float
    answers: tuple[Answer, ...]

    @property
    def ok(self) -> bool:
        """Loaded, and no request failed."""
        return not self.load_error and all(not answer.error for answer in self.answers)


def check_saved_model(
    folder: str | Path,
    requests: Sequence[Mapping[str, Value]] = (),
    *,
    signature: str = DEFAULT_SIGNATURE,
    outputs: Sequence[str] = (),
    timeout: float = 300.0,
) -> LoadCheck:
    """Load a SavedModel through TensorFlow's C++ loader in a fresh process and run `signature` on each request.

    Args:
        folder: the version folder, which holds saved_model.pb.
        requests: one mapping for each run, from input alias to arrays, numbers, text, or lists of bytes for strings.
        signature: the signature to run.
        outputs: output aliases to fetch; all without any.
        timeout: seconds for everything together.

    Returns:
        The load's error or "", and one Answer a request. A process that died (or took too long) is reported as
        the error of what it was doing, and of all that came after.
    """
    with (
        tempfile.TemporaryFile() as stdin,
        tempfile.TemporaryFile() as stdout,
        tempfile.TemporaryFile() as stderr,
    ):
        for inputs in requests:
            message = predict_request("check", inputs, signature=signature, outputs=outputs)
            write_chunk(stdin, message.SerializeToString())
        stdin.seek(0)
        died = ""
        try:
            done = subprocess.run(
                [sys.executable, "-m", "serving.engine.check", str(folder)],
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                timeout=timeout,
                check=False,
                cwd=Path(__file__).resolve().parents[2],
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": ""},
            )
            if done.returncode:
                died = f"the process that ran it ended with {done.returncode}"
        except subprocess.TimeoutExpired:
            died = f"no answer within {timeout} s"
        stderr.seek(0)
        tail = stderr.read()[-400:].decode("utf-8", "replace").strip()
        stdout.seek(0)
        results = []
        while (header := read_chunk(stdout)) is not None:
            results.append(_answer(header, read_chunk(stdout) or b""))
    missing = Answer(error=internal(f"{died or 'the process gave no answer'}. {tail}").to_string())
    if not results:
        return LoadCheck(missing.error, 0.0, ())
    load, answers = results[0], results[1:]
    if not load.error:
        answers += [missing] * (len(requests) - len(answers))
    return LoadCheck(load.error, load.seconds, tuple(answers))


def _answer(header: bytes, response: bytes) -> Answer:
    message = predict_pb2.PredictResponse.FromString(response)
    return Answer({key: from_proto(proto) for key, proto in message.outputs.items()}, **json.loads(header))


def _write(began: float, error: ServingError | None = None, response: Any = None) -> None:
    facts = {"error": error.to_string() if error else "", "seconds": time.perf_counter() - began}
    write_chunk(sys.stdout.buffer, json.dumps(facts).encode())
    write_chunk(sys.stdout.buffer, response.SerializeToString() if response else b"")


def main(folder: str) -> None:
    """Be the fresh process: load a SavedModel and warm it up as the server would, then answer requests.

    Standard input is one chunk a PredictRequest. Standard output is two chunks for the load and for each request: a
    JSON header and a PredictResponse, empty for an error.
    """
    use_onednn()  # as the server will run it
    began = time.perf_counter()
    try:
        model = Model("check", 0, Path(folder), LoadOptions())
        warm_up(model)
    except ServingError as error:
        _write(began, error)
        return
    _write(began)
    while (data := read_chunk(sys.stdin.buffer)) is not None:
        began = time.perf_counter()
        try:
            response = run_predict(model, predict_pb2.PredictRequest.FromString(data))
        except ServingError as error:
            _write(began, error)
        else:
            _write(began, response=response)


if __name__ == "__main__":
    main(sys.argv[1])

"""The other half of `serving.engine.check.check_saved_model`: runs in a fresh process, which may die of a bad model.

Standard input: an 8-byte little-endian length and a PredictRequest, for each request. Standard output: the same
with a JSON header and a PredictResponse (empty for an error) for the load and then for each request.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from serving.api.json_worker import read_chunk, write_chunk
from serving.api.predict import run_predict
from serving.engine.capi import use_onednn
from serving.engine.model import LoadOptions, Model
from serving.engine.warmup import warm_up
from serving.protos import predict_pb2
from serving.status import ServingError


def _answer(header: dict[str, Any], response: bytes = b"") -> None:
    write_chunk(sys.stdout.buffer, json.dumps(header).encode())
    write_chunk(sys.stdout.buffer, response)


def main(folder: str) -> int:
    """Load a SavedModel, warm it up as the server would, and answer requests on standard input."""
    use_onednn()  # as the server will run it
    began = time.perf_counter()
    try:
        model = Model("check", 0, Path(folder), LoadOptions())
        warm_up(model)
    except ServingError as error:
        _answer({"code": int(error.code), "message": error.message, "seconds": time.perf_counter() - began})
        return 0
    _answer({"code": 0, "message": "", "seconds": time.perf_counter() - began})
    while (data := read_chunk(sys.stdin.buffer)) is not None:
        began = time.perf_counter()
        try:
            response = run_predict(model, predict_pb2.PredictRequest.FromString(data))
        except ServingError as error:
            _answer(
                {"code": int(error.code), "message": error.message, "seconds": time.perf_counter() - began}
            )
        else:
            _answer(
                {"code": 0, "message": "", "seconds": time.perf_counter() - began},
                response.SerializeToString(),
            )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

"""`python -m components.serving_check.probe MODEL REQUESTS`: loads a model the way TF Serving does, and asks it.

Nothing but the C++ loader and session: what works in `tf.saved_model.load` may still fail there.
"""

from __future__ import annotations

import json
import pickle
import statistics
import sys
import time
from pathlib import Path

import numpy as np

from components.features import IMAGE_BYTES, PROBABILITY
from components.serving_check.observation import Observation
from serving.protos import TensorProto
from serving.session import Plan, Session
from serving.status import Code, ServingError
from serving.tensors import DT_STRING, from_proto

SIGNATURE = "serving_default"
TIMED_REQUESTS = 10


def main(model: Path, requests: Path) -> None:
    """Print one :class:`Observation` as JSON."""
    started = time.perf_counter()
    # Written by the process that started this one, for this one only.
    content = pickle.loads(requests.read_bytes())  # noqa: S301
    images: list[bytes] = content["images"]
    session = Session(model)
    signature = session.meta_graph.signature_def[SIGNATURE]
    plan = session.plan([signature.inputs[IMAGE_BYTES].name], [signature.outputs[PROBABILITY].name])
    single = [_ask(session, plan, [image])[0] for image in images]
    load_seconds = time.perf_counter() - started
    batched = _ask(session, plan, images)
    bad, refused = {}, []
    for name, data in content["bad"].items():
        try:
            answer = f"answered {_ask(session, plan, [data])}"
        except ServingError as error:
            answer = f"{Code(error.code).name}: {str(error)[:120]}"
            if error.code == Code.INVALID_ARGUMENT:
                refused.append(name)
        bad[name] = answer
    times = []
    for index in range(TIMED_REQUESTS):
        begun = time.perf_counter()
        _ask(session, plan, [images[index % len(images)]])
        times.append(time.perf_counter() - begun)
    alive = bool(np.allclose(_ask(session, plan, images[:1]), single[:1], atol=1e-4))
    seen = Observation(
        single, batched, refused, bad, alive, statistics.median(times) * 1000, round(load_seconds, 2)
    )
    print(json.dumps(seen._asdict()))


def _ask(session: Session, plan: Plan, images: list[bytes]) -> list[float]:
    request = TensorProto(dtype=DT_STRING, string_val=images)
    request.tensor_shape.dim.add(size=len(images))
    (answer,) = session.run(plan, [from_proto(request, IMAGE_BYTES)])
    return [float(value) for value in answer.numpy()]


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
    except (ServingError, KeyError, ValueError) as error:
        sys.exit(f"{type(error).__name__}: {error}")

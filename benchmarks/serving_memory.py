"""What a model costs its server: memory and time an answer, with weights as constants and as variables.

    python benchmarks/serving_memory.py IMAGES [--backbones efficientnet_lite0 efficientnetv2_b0 resnet50]

IMAGES is a folder of JPEGs. Each model is exported as the Trainer does it, and loaded by a fresh process of this server, on
one core: its memory once the model is warm and what was freed is given back, its peak until then, the median of 30 answers.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

# As a script this folder comes first, and its serving.py would stand for the package of that name.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.engines import served, untrained  # noqa: E402
from benchmarks.measuring import command_line, jpegs, markdown, row, rss  # noqa: E402

HEAD = (
    "network",
    "weights",
    "held as",
    "export's peak",
    "warm",
    "peak until warm",
    "two versions",
    "an answer",
)


def export(backbone: str, constant: bool, folder: Path) -> dict[str, float]:
    """Write a network, its weights as asked, in this process."""
    from components.trainer.export import saved_model
    from components.trainer.model import classifier as classifiers

    classifiers.LARGEST_CONSTANTS = 2**31 if constant else 0
    classifier = untrained(backbone)
    graph = classifiers.InferenceGraph(classifier, classifier.members[0].size)
    saved_model.write(served(classifier, graph), folder, metadata={})
    weights = 4 * classifier.members[0].network.model.count_params()
    return {"weights": weights / 2**20, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def load(folder: Path, picture: bytes) -> dict[str, float]:
    """Load and warm up a model twice in this process, as in a swap of versions, and ask the first one."""
    from core import features
    from core.tfserving.tensors import predict_request
    from serving.api.predict import run_predict
    from serving.engine.capi import use_onednn
    from serving.engine.model import LoadOptions, Model
    from serving.engine.warmup import warm_up

    def peak() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    use_onednn()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    model = Model("m", 1, folder, LoadOptions())
    warm_up(model)
    first = peak()
    ctypes.CDLL(None).malloc_trim(0)
    warm = rss(psutil.Process()) / 2**20
    request = predict_request("m", {features.IMAGE_BYTES: [picture]})
    took = []
    for _ in range(30):
        began = time.perf_counter()
        run_predict(model, request)
        took.append(time.perf_counter() - began)
    warm_up(Model("m", 2, folder, LoadOptions()))
    return {"warm": warm, "peak": first, "two": peak(), "ms": statistics.median(took) * 1000}


def main() -> None:
    """Print a row for each network and each way to hold its weights."""
    parser = command_line(__doc__)
    parser.add_argument("images", type=Path)
    parser.add_argument(
        "--backbones", nargs="+", default=["efficientnet_lite0", "efficientnetv2_b0", "resnet50"]
    )
    parser.add_argument(
        "--part", nargs=3, help="of a process of its own: export or load, of what, to or from where"
    )
    args = parser.parse_args()
    if args.part:
        step, what, folder = args.part
        if step == "load":
            facts = load(Path(folder), jpegs(args.images)[0])
        else:
            facts = export(args.backbones[0], what == "constants", Path(folder))
        print(json.dumps(facts))
        return
    print(markdown(HEAD))
    for backbone in args.backbones:
        for held in ("constants", "variables"):
            with tempfile.TemporaryDirectory() as folder:

                def part(
                    step: str, backbone: str = backbone, held: str = held, folder: str = folder
                ) -> dict[str, float]:
                    command = [
                        sys.executable,
                        __file__,
                        str(args.images),
                        "--backbones",
                        backbone,
                        "--part",
                        step,
                        held,
                    ]
                    done = subprocess.run([*command, folder], stdout=subprocess.PIPE, check=True)
                    return dict(json.loads(done.stdout.splitlines()[-1]))

                made, facts = part("export"), part("load")
            sizes = (made["peak"], facts["warm"], facts["peak"], facts["two"])
            print(
                row(
                    (
                        backbone,
                        f"{made['weights']:.0f} MiB",
                        held,
                        *(f"{size:.0f} MiB" for size in sizes),
                        f"{facts['ms']:.1f} ms",
                    )
                ),
                flush=True,
            )


if __name__ == "__main__":
    main()

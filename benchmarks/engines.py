"""One EfficientNet-Lite0 in several engines: the network alone, and the whole answer to JPEGs.

    .build/installer/bin/uv sync --all-extras --group benchmarks
    python benchmarks/engines.py IMAGES [--rounds 15] [--batch 8] [--threads 1 2]

IMAGES is a folder of JPEGs. Every contestant is a process of its own, held to as many cores as it has threads, and
they take turns, one batch each a round: what else runs on the machine falls on all of them. Printed are medians
of the rounds, processor milliseconds an image (and by the clock), and the medians of the ratios to OpenVINO
within a round. `export` is what the Trainer writes (batch-norm folded, weights constants), `unfolded export` what it
wrote before; both are asked with oneDNN (TF_ENABLE_ONEDNN_OPTS=1) and without. "whole answer" is `serving_default`:
JPEG to probability, zones and out-of-distribution flag.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.measuring import command_line, markdown, row

if TYPE_CHECKING:
    from components.trainer.export.served import Served
    from components.trainer.model.classifier import Classifier

SIZE = 224
CLASSES = 7
NETWORK, ANSWER = "network alone", "whole answer"
# name: (what is asked, engine, file or folder of the prepared models, oneDNN)
CONTESTANTS = {
    "export": (NETWORK, "tensorflow", "network", "1"),
    "export, no oneDNN": (NETWORK, "tensorflow", "network", "0"),
    "unfolded export": (NETWORK, "tensorflow", "network-unfolded", "1"),
    "unfolded export, no oneDNN": (NETWORK, "tensorflow", "network-unfolded", "0"),
    "LiteRT": (NETWORK, "litert", "network.tflite", ""),
    "ONNX Runtime": (NETWORK, "onnxruntime", "network.onnx", ""),
    "OpenVINO": (NETWORK, "openvino", "network.xml", ""),
    "answer: export": (ANSWER, "tensorflow", "model", "1"),
    "answer: export, no oneDNN": (ANSWER, "tensorflow", "model", "0"),
    "answer: unfolded export": (ANSWER, "tensorflow", "model-unfolded", "1"),
    "answer: unfolded export, no oneDNN": (ANSWER, "tensorflow", "model-unfolded", "0"),
}
REFERENCE = "OpenVINO"


def untrained(backbone: str) -> Classifier:
    """A classifier of one network whose head is random; its body is ImageNet's where the package holds its weights."""
    import keras

    from components.trainer.model import network as networks
    from components.trainer.model.classes import Classes
    from components.trainer.model.classifier import Classifier, Member
    from pipeline.config import load

    keras.utils.set_random_seed(1)
    trainer = load("quick").trainer
    if backbone != trainer.backbone:
        trainer = trainer.model_copy(update={"backbone": backbone, "weights": "none"})
    moments = networks.Moments((0.0,) * 3, (1.0,) * 3)
    network = networks.build(trainer, size=SIZE, classes=CLASSES, moments=moments, fast=False)
    return Classifier((Member(network, SIZE),), Classes(tuple("abcdefg"), (0.0,) * 6 + (1.0,), 0), 1)


def served(classifier: Classifier, graph: Any) -> Served:
    """All that is exported of a graph; what would be fitted is made up."""
    from components.trainer.export.calibration import Calibration
    from components.trainer.export.out_of_distribution import OutOfDistributionDetector
    from components.trainer.export.readout import with_weight
    from components.trainer.export.served import Served
    from core.measures.operating_point import OperatingPoint, Zones

    channels = classifier.members[0].network.model.outputs[2].shape[-1] + 4 * 4 * 3 + 3
    directions = np.random.default_rng(0).normal(size=(channels, 64)).astype(np.float32) / 10
    flat = np.zeros(channels, np.float32)
    return Served(
        classifier,
        with_weight(classifier.classes, 0.1),
        Calibration("temperature", 1.1),
        OperatingPoint(0.1, 0.9, 0.6, (0.0, 1.0), (0.0, 1.0)),
        Zones(0.05, 0.3),
        OutOfDistributionDetector(flat, directions, directions, flat + 1, 1.0, 100.0),
        graph,
        SIZE,
        "1",
    )


def prepare(folder: Path) -> None:
    """Write the same network for every engine."""
    import keras
    import openvino
    import tensorflow as tf
    import tf2onnx

    from components.trainer.export import litert, saved_model
    from components.trainer.model.classifier import InferenceGraph

    class Unfolded:
        """The graph as it was exported before batch-norm was folded: variables, and a batch-norm a layer."""

        def __init__(self, classifier: Classifier) -> None:
            self.classifier = classifier

        def __call__(self, pictures: Any, metadata_features: Any = None) -> Any:
            return self.classifier(pictures, metadata_features=metadata_features)

        def compiled(self, function: Callable[..., Any], *specs: Any) -> Any:
            return tf.function(function, input_signature=specs, autograph=False)

    def first_output(graph: Any) -> Callable[[Any], Any]:
        return lambda pictures: graph(pictures)[0]

    classifier = untrained("efficientnet_lite0")
    graphs: dict[str, Any] = {"": InferenceGraph(classifier, SIZE), "-unfolded": Unfolded(classifier)}
    picture = tf.TensorSpec([None, SIZE, SIZE, 3], tf.uint8, name="pictures")
    for suffix, graph in graphs.items():
        saved_model.write(served(classifier, graph), folder / f"model{suffix}", metadata={})
        archive = keras.export.ExportArchive()
        archive.add_endpoint("serving_default", first_output(graph), [picture])
        archive.write_out(str(folder / f"network{suffix}"), verbose=False)
    folded = graphs[""].classifier
    (folder / "network.tflite").write_bytes(litert.convert(lambda one: folded(one)[0], SIZE, "float32"))
    network_folder = str(folder / "network")
    openvino.save_model(
        openvino.convert_model(network_folder), folder / "network.xml", compress_to_fp16=False
    )
    function = tf.saved_model.load(network_folder).signatures["serving_default"]
    tf2onnx.convert.from_function(
        tf.function(lambda pictures: function(pictures=pictures)["output_0"]),
        input_signature=[picture],
        opset=17,
        output_path=str(folder / "network.onnx"),
    )


def engine(kind: str, path: str, threads: int) -> Callable[[Any], Any]:
    """Load a prepared model; returns what answers a batch."""
    if kind == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        model = tf.saved_model.load(path)
        function = model.signatures["serving_default"]
        (name,) = function.structured_input_signature[1]

        def ask(batch: Any) -> Any:
            answers = function(**{name: tf.constant(batch)})
            return (answers.get("probability") if "probability" in answers else answers["output_0"]).numpy()

        ask.model = model  # type: ignore[attr-defined]  # its variables live as long as it does
        return ask
    if kind == "litert":
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(model_path=path, num_threads=threads)
        interpreter.allocate_tensors()
        source = interpreter.get_input_details()[0]["index"]
        target = interpreter.get_output_details()[0]["index"]

        def one_by_one(batch: Any) -> Any:
            rows = []
            for picture in batch:
                interpreter.set_tensor(source, picture[None])
                interpreter.invoke()
                rows.append(interpreter.get_tensor(target)[0])
            return np.stack(rows)

        return one_by_one
    if kind == "onnxruntime":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        return lambda batch: session.run(None, {name: batch})[0]
    import openvino

    core = openvino.Core()
    compiled = core.compile_model(
        path,
        "CPU",
        {
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            # Where the processor has bfloat16 it would round to that, and answer something else.
            "INFERENCE_PRECISION_HINT": "f32",
        },
    )
    return lambda batch: compiled(batch)[0]


def work(kind: str, path: str, asked: str, threads: int, images: Path, batch: int) -> None:
    """Answer a batch for every line on standard input; write processor and clock seconds."""
    os.sched_setaffinity(0, range(threads))
    files = sorted(images.glob("*.jpg"))[:batch]
    if asked == ANSWER:
        given: Any = np.array([file.read_bytes() for file in files], object)
    else:
        from PIL import Image

        given = np.stack([np.asarray(Image.open(file).convert("RGB").resize((SIZE, SIZE))) for file in files])
    ask = engine(kind, path, threads)
    for _ in range(3):
        answers = ask(given)
    print(json.dumps(np.asarray(answers, np.float64).ravel().tolist()), flush=True)
    for _ in sys.stdin:
        processor, clock = time.process_time(), time.perf_counter()
        ask(given)
        print(time.process_time() - processor, time.perf_counter() - clock, flush=True)


def main() -> None:
    """Measure and print."""
    parser = command_line(__doc__)
    parser.add_argument("images", type=Path, help="folder of JPEGs")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--models", type=Path, help="folder of the prepared models; default: a new one")
    parser.add_argument("--work", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        kind, path, asked, threads = arguments.work
        work(kind, path, asked, int(threads), arguments.images, arguments.batch)
        return
    folder = arguments.models or Path(tempfile.mkdtemp())
    if not (folder / "network.onnx").exists():
        prepare(folder)
    for threads in arguments.threads:
        _table(folder, arguments.images, arguments.batch, arguments.rounds, threads)


def _table(folder: Path, images: Path, batch: int, rounds: int, threads: int) -> None:
    workers: dict[str, subprocess.Popen[str]] = {}
    answers: dict[str, Any] = {}
    for name, (asked, kind, path, onednn) in CONTESTANTS.items():
        command = [sys.executable, __file__, str(images), "--batch", str(batch), "--work"]
        workers[name] = subprocess.Popen(
            [*command, kind, str(folder / path), asked, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": onednn or "1"},
        )
        answers[name] = np.array(json.loads(_line(workers[name])))
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in workers}
    for _ in range(rounds):
        for name, worker in workers.items():
            assert worker.stdin is not None
            worker.stdin.write("\n")
            worker.stdin.flush()
            processor, clock = map(float, _line(worker).split())
            times[name].append((processor, clock))
    for worker in workers.values():
        worker.communicate()
    print(f"\nbatch {batch}, {threads} thread(s), {rounds} rounds\n")
    columns = "processor ms an image", "clock ms an image", "ratio to OpenVINO", "largest difference"
    print(markdown(("contestant", *columns), rule="---"))
    for name, turns in times.items():
        processor, clock = (statistics.median(turn[i] for turn in turns) * 1e3 / batch for i in (0, 1))
        ratio = statistics.median(a[0] / b[0] for a, b in zip(turns, times[REFERENCE], strict=True))
        first = REFERENCE if CONTESTANTS[name][0] == NETWORK else "answer: export"
        difference = np.abs(answers[name] - answers[first]).max()
        print(row((name, f"{processor:.1f}", f"{clock:.1f}", f"{ratio:.2f}", f"{difference:.1e}")))


def _line(worker: subprocess.Popen[str]) -> str:
    assert worker.stdout is not None
    line = worker.stdout.readline()
    if not line:
        raise SystemExit(f"{' '.join(map(str, worker.args))}: ended with {worker.wait()}")  # type: ignore[union-attr]
    return line


if __name__ == "__main__":
    main()

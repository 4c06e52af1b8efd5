"""LiteRT export: the served network as one small file that a Pi runs without TensorFlow.

The file takes one decoded picture, uint8 RGB [1, size, size, 3], and gives the calibrated probability,
float32 [1]; standardisation, network, read-out and calibration are inside, as in the SavedModel.
`litert.json` beside it is what edge/asking/on_device.py reads.
"""

from __future__ import annotations

import hashlib
import json
import re
import statistics
import time
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from core.measures.auc import auc
from core.measures.rates import Labels, Scores

Kind = Literal["float32", "float16", "int8"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
Answer = Callable[[tf.Tensor], tf.Tensor]
Pictures = npt.NDArray[np.uint8]

MODEL_FILE: Final = "melanoma.tflite"
DESCRIPTION_FILE: Final = "litert.json"
_MOST_AUC_LOST: Final = 0.005
_LEAST_AGREEMENT: Final = 0.98

# Left in float32 by int8 wherever they stand: pooling, head and what follows. Of 256 steps between them, the
# probabilities of most lesions would be tied.
_FLOAT_TAIL: Final = (
    "MEAN", "FULLY_CONNECTED", "STRIDED_SLICE", "SOFTMAX", "LOGISTIC",
    "LOG", "SUM", "SUB", "MUL", "DIV", "NEG", "MINIMUM", "MAXIMUM",
)  # fmt: skip


class ConversionError(RuntimeError):
    """The answer cannot be written with LiteRT's own operations."""


def convert(answer: Answer, size: int, kind: Kind, representative: Pictures | None = None) -> bytes:
    """Write `answer` as a LiteRT model.

    Args:
        answer: pictures (uint8 [1, size, size, 3]) to probabilities (float32 [1]), of LiteRT's built-in
            operations: no antialiased tf.image.resize (use `view`), no strings, no tf.searchsorted.
        size: side of the picture, px.
        kind: float32; float16: weights of half the size, the sums in float32; int8: weights and
            activations in 8 bits, a quarter of the size and the fastest.
        representative: pictures of the training split whose activations give int8 its ranges, a few
            hundred; uint8 [n, size, size, 3].

    Raises:
        ValueError: an unknown kind, or int8 without pictures.
        ConversionError: an operation that LiteRT lacks, or variables that were not found.
    """
    if kind not in KINDS:
        raise ValueError(f"litert kind: {kind!r} is unknown; valid: {', '.join(KINDS)}")
    if kind != "int8":
        representative = None
    elif representative is None or len(representative) == 0:
        raise ValueError("litert kind: int8 needs representative pictures of the training split")
    picture = tf.TensorSpec([1, size, size, 3], tf.uint8, name="picture")
    concrete = tf.function(answer, input_signature=[picture], autograph=False).get_concrete_function()
    # Without the trackable object: with it the converter looks for the variables of a Keras 3 model where
    # they are not, and writes a model that answers NaN.
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
    if kind != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "float16":
        converter.target_spec.supported_types = [tf.float16]
    try:
        with warnings.catch_warnings():
            # Of statistics for quantised inputs: the input is the picture itself, cast in the graph. Of
            # tf.lite's own interpreter, which its calibration uses.
            warnings.simplefilter("ignore")
            model: bytes = converter.convert() if representative is None else _int8(converter, representative)
    except Exception as error:
        missing = sorted(set(re.findall(r"tf\.[A-Z]\w+", str(error))))
        named = f"LiteRT lacks {', '.join(missing)}" if missing else str(error).strip().split("\n")[0]
        raise ConversionError(f"litert {kind}: {named}; write the answer with built-in operations") from error
    try:
        kinds = operations(model)
    except (RuntimeError, ValueError) as error:
        first = str(error).strip().split("\n")[0]
        raise ConversionError(f"litert {kind}: the interpreter cannot load the file ({first})") from error
    if "VAR_HANDLE" in kinds:
        raise ConversionError(f"litert {kind}: {kinds['VAR_HANDLE']} variables were left outside the file")
    return model


def _int8(converter: Any, representative: Pictures) -> bytes:
    """Quantise the network and leave the tail in float32, which only the quantisation debugger offers."""
    optimizations, converter.optimizations = converter.optimizations, []
    tail = _after_the_network(converter.convert())
    converter.optimizations = optimizations
    converter.representative_dataset = lambda: ([picture[None]] for picture in representative)
    options = tf.lite.experimental.QuantizationDebugOptions(
        denylisted_ops=list(_FLOAT_TAIL), denylisted_nodes=tail
    )
    debugger = tf.lite.experimental.QuantizationDebugger(
        converter=converter, debug_dataset=converter.representative_dataset, debug_options=options
    )
    return bytes(debugger.get_nondebug_quantized_model())


def _after_the_network(float_model: bytes) -> list[str]:
    """Names of what is computed after the last convolution: additions there must not be rounded either."""
    interpreter = _interpreter(float_model, 1, delegate=False)
    names = {t["index"]: t["name"] for t in interpreter.get_tensor_details()}
    steps = interpreter._get_ops_details()
    last = max((i for i, step in enumerate(steps) if "CONV_2D" in step["op_name"]), default=-1)
    return [names[output] for step in steps[last + 1 :] for output in step["outputs"] if output in names]


def view(pictures: tf.Tensor, size: int) -> tf.Tensor:
    """`components.transform.images.view` in operations that LiteRT has.

    An antialiased bilinear resize is linear in rows and in columns, so it is a matrix from the left and
    one from the right; they are read off tf.image.resize itself, and so cannot disagree with it.
    """
    floats = tf.cast(pictures, tf.float32)
    side = int(pictures.shape[1])
    if side == size:
        return floats
    with tf.init_scope():
        identity = tf.eye(side)[None, :, :, None]
        matrix = tf.image.resize(identity, [size, side], method="bilinear", antialias=True).numpy()
    narrowing = tf.constant(matrix[0, :, :, 0].T)
    # [b, s, s, c]: columns first, then rows.
    columns = tf.linalg.matmul(tf.transpose(floats, [0, 1, 3, 2]), narrowing)
    rows = tf.linalg.matmul(tf.transpose(columns, [0, 3, 2, 1]), narrowing)
    return tf.transpose(rows, [0, 3, 1, 2])


def operations(model: bytes) -> dict[str, int]:
    """How many operations of each kind the model holds."""
    details = _interpreter(model, 1, delegate=False)._get_ops_details()
    return Counter(detail["op_name"] for detail in details)


def probabilities(model: bytes, pictures: Pictures, threads: int = 1) -> npt.NDArray[np.float32]:
    """The model's answers (float32 [n]) to pictures (uint8 [n, size, size, 3])."""
    interpreter = _interpreter(model, threads)
    source, target = _ends(interpreter)
    answers = np.empty(len(pictures), np.float32)
    for number, picture in enumerate(pictures):
        interpreter.set_tensor(source, picture[None])
        interpreter.invoke()
        answers[number] = interpreter.get_tensor(target).item()
    return answers


def latency_ms(model: bytes, picture: Pictures, runs: int = 30) -> float:
    """Median time of one answer to one picture (uint8 [size, size, 3]) on one thread, after a warm-up."""
    interpreter = _interpreter(model, 1)
    source, _ = _ends(interpreter)
    interpreter.set_tensor(source, picture[None])
    times: list[float] = []
    for _ in range(runs + 3):
        begin = time.perf_counter()
        interpreter.invoke()
        times.append((time.perf_counter() - begin) * 1e3)
    return statistics.median(times[3:])


def _interpreter(model: bytes, threads: int, delegate: bool = True) -> Any:
    resolver = OpResolverType.AUTO if delegate else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(
        model_content=model, num_threads=threads, experimental_op_resolver_type=resolver
    )
    interpreter.allocate_tensors()
    return interpreter


def _ends(interpreter: Any) -> tuple[int, int]:
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    return int(source["index"]), int(target["index"])


@dataclass(frozen=True)
class Parity:
    """How far a converted model is from the SavedModel on the same pictures."""

    auc_lost: float  # the SavedModel's AUC less the converted model's
    agreement: float  # share of pictures with the same decision at the operating point
    largest_difference: float  # of the probabilities
    images: int

    def complaints(self) -> list[str]:
        """What exceeds the limits, one sentence each; empty where the model may replace the other."""
        found: list[str] = []
        if not self.auc_lost <= _MOST_AUC_LOST:
            found.append(f"AUC lost {self.auc_lost:.4f}, at most {_MOST_AUC_LOST:.4f} allowed")
        if not self.agreement >= _LEAST_AGREEMENT:
            found.append(f"decisions agree on {self.agreement:.1%}, at least {_LEAST_AGREEMENT:.1%} asked")
        return found


def parity(targets: Labels, reference: Scores, converted: Scores, threshold: float) -> Parity:
    """Compare a converted model's probabilities ([n]) with the SavedModel's; a NaN agrees with nothing."""
    if not np.isfinite(converted).all():
        return Parity(float("nan"), 0.0, float("nan"), len(reference))
    return Parity(
        auc_lost=auc(targets, reference) - auc(targets, converted),
        agreement=float(np.mean((reference >= threshold) == (converted >= threshold))),
        largest_difference=float(np.abs(reference - converted).max()),
        images=len(reference),
    )


@dataclass(frozen=True)
class Export:
    """One converted model with what the report shows of it."""

    kind: Kind
    model: bytes
    parity: Parity
    latency_ms: float

    def as_dict(self) -> dict[str, object]:
        """JSON-able figures, with the SHA-256 the registry records and the device checks."""
        return {
            "kind": self.kind,
            "bytes": len(self.model),
            "sha256": hashlib.sha256(self.model).hexdigest(),
            "latency_ms": round(self.latency_ms, 3),
            **asdict(self.parity),
        }


class Exports(NamedTuple):
    """What came of every kind: those that were measured, the one for the device, and why others failed."""

    measured: tuple[Export, ...]
    kept: Export | None
    failures: tuple[str, ...]


def export(
    answer: Answer,
    size: int,
    *,
    representative: Pictures,
    pictures: Pictures,
    targets: Labels,
    reference: Scores,
    threshold: float,
    kinds: tuple[Kind, ...] = ("int8", "float16"),
) -> Exports:
    """Convert to each kind and measure it on eval's `pictures` against the SavedModel's `reference`.

    A kind that cannot be converted takes no other with it.
    """
    exports: list[Export] = []
    failures: list[str] = []
    for kind in kinds:
        try:
            model = convert(answer, size, kind, representative)
        except ConversionError as error:
            failures.append(str(error))
            continue
        found = parity(targets, reference, probabilities(model, pictures), threshold)
        exports.append(Export(kind, model, found, latency_ms(model, pictures[0])))
    kept = next((e for e in exports if not e.parity.complaints()), None)
    return Exports(tuple(exports), kept, tuple(failures))


def write(
    folder: Path, chosen: Export, *, version: str, threshold: float, low_below: float, refer_from: float
) -> None:
    """Write the model and `litert.json` into `folder`, the description last."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MODEL_FILE).write_bytes(chosen.model)
    description = {
        "version": version,
        "file": MODEL_FILE,
        "threshold": threshold,
        "zones": {"low_below": low_below, "refer_from": refer_from},
        **chosen.as_dict(),
    }
    text = json.dumps(description, indent=1, sort_keys=True)
    (folder / DESCRIPTION_FILE).write_text(text + "\n", encoding="utf-8")

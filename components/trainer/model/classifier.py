"""The averaged answer of one or more networks: the path that training, eval and serving share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from components.trainer.data.metadata import Metadata
from components.trainer.model.classes import Classes
from components.trainer.model.network import Network
from components.trainer.progress import Progress
from components.transform import images
from core.process import cores

BATCH: Final = 8  # pictures and views at once: more fall out of the processor's caches, 35 % slower at 64
# Bytes, `full`'s three networks. Each one costs a server eleven of memory and twenty-three while it loads, a variable about
# two: with its 90 MiB of weights ResNet50 answers in 73 ms instead of 117, and takes 2.5 GB instead of 0.6.
LARGEST_CONSTANTS: Final = 44 << 20


@dataclass(frozen=True)
class Member:
    """One network and the side, in px, of the pictures it is shown."""

    network: Network
    size: int


@dataclass(frozen=True)
class Classifier:
    """Members that vote with equal weight."""

    members: tuple[Member, ...]
    classes: Classes  # what their logits mean
    tta: int  # views of each picture whose logits are averaged: 1, 2, 4 or 8
    neutral_light: bool = False  # every second view is shown without its light's colour

    @property
    def metadata(self) -> Metadata | None:
        """How metadata become the networks' second input; None = they see the picture alone."""
        return self.members[0].network.metadata

    def folded(self) -> Classifier:
        """Return a copy for inference: batch-norm folded into the convolutions, equal up to rounding."""
        return replace(
            self, members=tuple(Member(member.network.folded(), member.size) for member in self.members)
        )

    def __call__(
        self,
        pictures: tf.Tensor,
        view: Callable[[tf.Tensor, int], tf.Tensor] = images.view,
        metadata_features: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Answer pictures (uint8 [batch, s, s, 3]); LiteRT brings its `view`.

        `metadata_features` are float32 [batch, width]; without them the networks know the picture alone.

        Returns:
            float32 [batch, classes], class probabilities, not calibrated; float32 [batch, channels], the first
            member's middle levels of the picture as it is.
        """
        if metadata_features is not None:
            metadata_features = tf.tile(metadata_features, [self.tta, 1])
        outputs = []
        for member in self.members:
            # All views in one batch: one call keeps every core busy, and small batches cost more an image.
            pixels = tf.concat(views(view(pictures, member.size), self.tta, self.neutral_light), axis=0)
            outputs.append(member.network(pixels, metadata_features=metadata_features))
        logits = [tf.add_n(tf.split(one.logits, self.tta)) / self.tta for one in outputs]
        class_probabilities = tf.add_n([tf.nn.softmax(one) for one in logits]) / len(logits)
        return class_probabilities, tf.split(outputs[0].levels, self.tta)[0]


@dataclass(frozen=True)
class Outputs:
    """A split's answers: class probabilities [n, classes], features [n, channels]."""

    class_probabilities: npt.NDArray[np.float32]
    features: npt.NDArray[np.float32]


def constant_graph(function: Callable[..., Any], *specs: tf.TensorSpec) -> Callable[..., Any]:
    """Compile a function that returns a tuple of tensors, with its variables' present values as constants."""
    traced = tf.function(function, input_signature=specs, autograph=False)
    graph = convert_variables_to_constants_v2(traced.get_concrete_function(), lower_control_flow=False)
    for operation in graph.graph.get_operations():
        # A SavedModel would keep custom gradients (swish has one), whose captures the conversion has cut off.
        operation._clear_attr("_gradient_op_type")
    return graph


class InferenceGraph:
    """A classifier as one graph that cannot change: folded and, unless it is huge, its weights constants.

    Constants let oneDNN lay the kernels out once instead of in every call; the answers are the classifier's up to
    rounding. Tracing takes seconds, so keep it to ask again.
    """

    def __init__(self, classifier: Classifier, side: int, *, learning: bool = False) -> None:
        """Trace for pictures of `side` px; of networks that are `learning`, with their weights as they are at each call."""
        self.classifier = classifier if learning else classifier.folded()
        size = 4 * sum(member.network.model.count_params() for member in classifier.members)
        # Whether the graph holds the weights.
        self.constant = not learning and size <= LARGEST_CONSTANTS
        specs = [tf.TensorSpec([None, side, side, 3], tf.uint8)]
        if classifier.metadata is not None:
            specs.append(tf.TensorSpec([None, classifier.metadata.width], tf.float32))
        self._graph = self.compiled(self._answer, *specs)

    def _answer(self, batch: tf.Tensor, *metadata_features: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return self.classifier(batch, metadata_features=metadata_features[0] if metadata_features else None)

    def __call__(
        self, pictures: tf.Tensor, metadata_features: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Answer pictures as `Classifier` does."""
        metadata = self.classifier.metadata
        inputs = [pictures]
        if metadata is not None:
            if metadata_features is None:
                metadata_features = tf.zeros([tf.shape(pictures)[0], metadata.width])
            inputs.append(metadata_features)
        class_probabilities, features = self._graph(*inputs)
        return class_probabilities, features

    def compiled(self, function: Callable[..., Any], *specs: tf.TensorSpec) -> Callable[..., Any]:
        """Compile a function of the graph's networks that returns a tuple of tensors, as this graph is compiled."""
        if self.constant:
            return constant_graph(function, *specs)
        return tf.function(function, input_signature=specs, autograph=False)


def predict(
    classifier: Classifier,
    pictures: npt.NDArray[np.uint8],
    progress: Progress | None = None,
    task: str = "",
    graph: InferenceGraph | None = None,
    metadata_features: npt.NDArray[np.float32] | None = None,
) -> Outputs:
    """Return the classifier's answers for pictures (uint8 [n, s, s, 3]), asked in batches.

    `metadata_features` are float32 [n, width]; without them the networks know the pictures alone. `graph` is the
    classifier's, to ask again; `progress` gets how far the `task` is.
    """

    def tick(done: int) -> None:
        if progress is not None:
            progress.tick("%s: %d of %d images", task, done, len(pictures))

    graph = graph or InferenceGraph(classifier, pictures.shape[1])
    columns: list[npt.NDArray[Any]] = (
        [pictures] if metadata_features is None else [pictures, metadata_features]
    )
    return Outputs(*in_batches(graph, columns, max(1, BATCH // classifier.tta), tick))


def in_batches(
    graph: Callable[..., Sequence[tf.Tensor]],
    columns: Sequence[npt.NDArray[Any]],
    size: int,
    tick: Callable[[int], None] | None = None,
) -> list[npt.NDArray[Any]]:
    """Ask a graph about rows, a batch for each core at a time.

    What one thread alone does of a batch, such as resizing, is hidden by another batch's convolutions, and a core
    that keeps to its own batch finds it in its cache: a fifth faster than one batch at a time on all cores.

    `graph` gets a batch, `size` rows of each column, and returns tensors of as many rows. All columns have the same
    length. `tick` is told how many rows are done.

    Returns:
        Each tensor of all rows, in their order.
    """
    rows: list[list[npt.NDArray[Any]]] = []

    def ask(start: int) -> list[npt.NDArray[Any]]:
        outputs = graph(*(tf.constant(column[start : start + size]) for column in columns))
        return [output.numpy() for output in outputs]

    pool = ThreadPoolExecutor(cores())
    try:
        for outputs in pool.map(ask, range(0, len(columns[0]), size)):
            rows.append(outputs)
            if tick is not None:
                tick(min(len(rows) * size, len(columns[0])))
    finally:
        pool.shutdown(cancel_futures=True)
    return [np.concatenate(column) for column in zip(*rows, strict=True)]


def views(pixels: tf.Tensor, count: int, neutral_light: bool = False) -> list[tf.Tensor]:
    """1, 2, 4 or 8 views: the picture as it is, then mirrored, flipped, turned by half, transposed.

    With `neutral_light` every second one is shown without its light's colour.
    """
    result = [pixels]
    if count >= 2:
        result.append(tf.reverse(pixels, [2]))
    if count >= 4:
        result += [tf.reverse(pixels, [1]), tf.reverse(pixels, [1, 2])]
    if count >= 8:
        result += [tf.transpose(view, [0, 2, 1, 3]) for view in result[:4]]
    if neutral_light:
        result[1::2] = [images.neutral_light(view) for view in result[1::2]]
    return result

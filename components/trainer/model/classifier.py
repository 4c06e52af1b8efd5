"""The averaged answer of one or more networks: the path that training, eval and serving share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.trainer.data.metadata import Metadata
from components.trainer.model.classes import Classes
from components.trainer.model.network import Network
from components.trainer.progress import Progress
from components.transform import images

_BATCH = 32


@dataclass(frozen=True)
class Member:
    """One network and the side, in px, of the pictures it is shown."""

    network: Network
    size: int


@dataclass(frozen=True)
class Classifier:
    """Members that vote with equal weight.

    Attributes:
        members: the networks.
        classes: what their logits mean.
        tta: views of each picture whose logits are averaged: 1, 2, 4 or 8.
    """

    members: tuple[Member, ...]
    classes: Classes
    tta: int

    @property
    def metadata(self) -> Metadata | None:
        """How metadata become the networks' second input; None = they see the picture alone."""
        return self.members[0].network.metadata

    def __call__(
        self,
        pictures: tf.Tensor,
        view: Callable[[tf.Tensor, int], tf.Tensor] = images.view,
        metadata_features: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Class probabilities and features of pictures (uint8 [batch, s, s, 3]); LiteRT brings its `view`.

        `metadata_features` are float32 [batch, width]; without them the networks know the picture alone.

        Returns:
            float32 [batch, classes], not calibrated; float32 [batch, channels], the first member's middle
            levels of the picture as it is.
        """
        class_probabilities: list[tf.Tensor] = []
        features: tf.Tensor | None = None
        for member in self.members:
            logits: list[tf.Tensor] = []
            for pixels in views(view(pictures, member.size), self.tta):
                seen = member.network(pixels, metadata_features=metadata_features)
                logits.append(seen.logits)
                features = seen.levels if features is None else features
            class_probabilities.append(tf.nn.softmax(tf.add_n(logits) / len(logits)))
        assert features is not None  # noqa: S101 - there is at least one member and one view
        return tf.add_n(class_probabilities) / len(class_probabilities), features


@dataclass(frozen=True)
class Outputs:
    """A split's answers: class probabilities [n, classes], features [n, channels]."""

    class_probabilities: npt.NDArray[np.float32]
    features: npt.NDArray[np.float32]


Traced = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


def trace(classifier: Classifier, side: int) -> Traced:
    """The classifier as one graph for pictures of a side: tracing takes seconds, so keep it to ask again."""

    @tf.function(input_signature=[tf.TensorSpec([None, side, side, 3], tf.uint8)])
    def answer(batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return classifier(batch)

    return answer


def predict(
    classifier: Classifier,
    pictures: npt.NDArray[np.uint8],
    progress: Progress | None = None,
    task: str = "",
    traced: Traced | None = None,
    metadata_features: npt.NDArray[np.float32] | None = None,
) -> Outputs:
    """The classifier's answers for pictures (uint8 [n, s, s, 3]), in batches; `metadata_features` are float32 [n, width]."""
    answer = traced or trace(classifier, pictures.shape[1])

    @tf.function(reduce_retracing=True)
    def answer_with(batch: tf.Tensor, vectors: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return classifier(batch, metadata_features=vectors)

    rows: list[Sequence[tf.Tensor]] = []
    for start in range(0, len(pictures), _BATCH):
        batch = tf.constant(pictures[start : start + _BATCH])
        if metadata_features is None:
            rows.append(answer(batch))
        else:
            rows.append(answer_with(batch, tf.constant(metadata_features[start : start + _BATCH])))
        if progress is not None:
            progress.tick("%s: %d of %d images", task, start, len(pictures))
    class_probabilities, pooled = (np.concatenate([row[i].numpy() for row in rows]) for i in range(2))
    return Outputs(class_probabilities, pooled)


def views(pixels: tf.Tensor, count: int) -> list[tf.Tensor]:
    """1, 2, 4 or 8 views: the picture as it is, then mirrored, flipped, turned by half, transposed."""
    result = [pixels]
    if count >= 2:
        result.append(pixels[:, :, ::-1])
    if count >= 4:
        result += [pixels[:, ::-1], pixels[:, ::-1, ::-1]]
    if count >= 8:
        result += [tf.transpose(view, [0, 2, 1, 3]) for view in result[:4]]
    return result

"""The classes of the head: which diagnosis is which output, and which outputs are positive."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.trainer.settings import HeadConfig, LossConfig


@dataclass(frozen=True)
class Classes:
    """The softmax's outputs."""

    names: tuple[str, ...]
    positive: tuple[float, ...]  # 1.0 or 0.0
    commonest: int  # number of the negative output with the most training images

    def __len__(self) -> int:
        return len(self.names)


def choose(head: HeadConfig, targets: npt.NDArray[np.int64], diagnoses: Sequence[str]) -> Classes:
    """The classes of a training split.

    A diagnosis that is too rare, unknown, or seen with both labels counts as `other` of its label, so that
    positive outputs always mean what the label means.
    """
    two = Classes(("negative", "positive"), (0.0, 1.0), 0)
    if head.kind in ("binary", "sigmoid"):
        return two
    counts = Counter(zip(diagnoses, targets.tolist(), strict=True))
    kept = sorted(
        (target, name)
        for (name, target), count in counts.items()
        if name and count >= head.min_class_count and (name, 1 - target) not in counts
    )
    names = [name for _, name in kept]
    labels = [target for target, _ in kept]
    images = [counts[name, target] for target, name in kept]
    for target, other in ((0, "other negative"), (1, "other positive")):
        rest = sum(count for (name, label), count in counts.items() if label == target and name not in names)
        if rest or target not in labels:
            names.append(other)
            labels.append(target)
            images.append(rest)
    if len(names) == 2:
        return two
    commonest = max((n for n, label in enumerate(labels) if label == 0), key=images.__getitem__)
    return Classes(tuple(names), tuple(float(label) for label in labels), commonest)


def encode(
    classes: Classes, targets: npt.NDArray[np.int64], diagnoses: Sequence[str]
) -> npt.NDArray[np.int32]:
    """Class index of every image (int32 [n])."""
    index = {name: i for i, name in enumerate(classes.names)}
    others = {
        0: index.get("other negative", index.get("negative")),
        1: index.get("other positive", index.get("positive")),
    }
    # A diagnosis known to the head but with the other label (possible in eval) is the label's `other`,
    # else any class of that label: the label decides.
    fallback = {
        t: other if other is not None else classes.positive.index(float(t)) for t, other in others.items()
    }
    result = np.empty(len(targets), np.int32)
    for row, (target, name) in enumerate(zip(targets.tolist(), diagnoses, strict=True)):
        position = index.get(name, fallback[target])
        result[row] = position if classes.positive[position] == float(target) else fallback[target]
    return result


def class_weights(
    loss: LossConfig, labels: npt.NDArray[np.int32], count: int, gate: dict[int, float] | None
) -> npt.NDArray[np.float32]:
    """Loss weight of each of `count` classes (float32 [count]), scaled so that an average training image weighs 1.

    The data `gate`'s weights of label 0 and 1 replace the formula `balanced` of a binary head.
    """
    numbers = np.maximum(np.bincount(labels, minlength=count), 1).astype(np.float64)
    if loss.class_weights == "none":
        weights = np.ones(count)
    elif loss.class_weights == "balanced":
        weights = numbers.sum() / (count * numbers)
        if gate is not None and count == 2:
            weights = np.array([gate[0], gate[1]])
    elif loss.class_weights == "frequency":
        weights = 1.0 - numbers / numbers.sum()
    else:
        weights = numbers**loss.power
    return (weights / weights[labels].mean()).astype(np.float32)

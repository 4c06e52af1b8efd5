"""A network with one hidden layer as a function of one flat vector of weights, so that anything may choose them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sklearn.pipeline import Pipeline

from studies.baselines.extract import Table
from studies.baselines.system import Floats, Scorer, standardised

INPUTS: Final = 16  # principal components of the figures
HIDDEN: Final = 8
LARGEST: Final = 2.0  # of a weight that a search may choose


@dataclass(frozen=True)
class Perceptron:
    """`inputs` figures, `hidden` tanh units, one logistic output."""

    inputs: int
    hidden: int

    @property
    def size(self) -> int:
        """How many weights there are."""
        return self.inputs * self.hidden + 2 * self.hidden + 1

    def logits(self, weights: Floats, values: Floats) -> Floats:
        """Return the output before the logistic function: weights [..., size], values [n, inputs] -> [..., n]."""
        first, bias, second, last = self._split(weights)
        hidden = np.tanh(values @ first + bias[..., None, :])
        return np.asarray((hidden @ second[..., None])[..., 0] + last)

    def loss(self, weights: Floats, values: Floats, targets: Floats, importance: Floats) -> Floats:
        """Return the weighted mean cross-entropy of each row of weights."""
        logits = self.logits(weights, values)
        terms = np.logaddexp(0.0, logits) - targets * logits
        return np.asarray((terms * importance).sum(axis=-1) / importance.sum())

    def gradient(self, weights: Floats, values: Floats, targets: Floats, importance: Floats) -> Floats:
        """Return the gradient of `loss` by back-propagation: [size]."""
        first, bias, second, last = self._split(weights)
        hidden = np.tanh(values @ first + bias)
        probability = 1 / (1 + np.exp(-np.clip(hidden @ second + last, -50, 50)))
        error = importance * (probability - targets) / importance.sum()
        back = error[:, None] * second * (1 - hidden**2)
        return np.concatenate([(values.T @ back).ravel(), back.sum(axis=0), hidden.T @ error, [error.sum()]])

    def _split(self, weights: Floats) -> tuple[Floats, Floats, Floats, Any]:
        inner = self.inputs * self.hidden
        first = weights[..., :inner].reshape(*weights.shape[:-1], self.inputs, self.hidden)
        bias = weights[..., inner : inner + self.hidden]
        second = weights[..., inner + self.hidden : inner + 2 * self.hidden]
        return first, bias, second, weights[..., -1:] if weights.ndim > 1 else weights[-1]


@dataclass(frozen=True)
class Task:
    """What a search for weights is given: the network and standardised, weighted training rows."""

    network: Perceptron
    prepared: Pipeline
    values: Floats
    targets: Floats
    importance: Floats

    def losses(self, weights: npt.NDArray[np.floating[Any]]) -> Floats:
        """Return the training loss of each row of weights: [k, size] -> [k]."""
        return self.network.loss(np.asarray(weights, np.float64), self.values, self.targets, self.importance)

    def scorer(self, weights: Floats) -> Scorer:
        """Return the network with these weights."""

        def score(values: npt.NDArray[np.float32]) -> Floats:
            logits = self.network.logits(weights, self.prepared.transform(values))
            return np.asarray(1 / (1 + np.exp(-np.clip(logits, -50, 50))))

        return score


def task(train: Table, seed: int) -> Task:
    """Return the task of a training table; both classes weigh the same in all."""
    prepared = standardised(train.values, components=INPUTS, seed=seed)
    values = np.asarray(prepared.transform(train.values), np.float64)
    targets = train.targets.astype(np.float64)
    positive = targets.mean()
    importance = np.where(targets == 1, 0.5 / positive, 0.5 / (1 - positive))
    return Task(Perceptron(values.shape[1], HIDDEN), prepared, values, targets, importance)

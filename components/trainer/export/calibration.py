"""Calibration: from the network's P(positive) to one that means what it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from scipy import optimize
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from sklearn.model_selection import StratifiedKFold

from core.measures.calibration import log_loss, log_odds
from core.measures.rates import Labels, Scores

Kind = Literal["temperature", "platt", "isotonic", "none"]

_FOLDS = 5
_SEED = 0
_EDGE = 1e-4  # isotonic regression says 0 and 1 at its ends; nobody is that sure of a lesion


@dataclass(frozen=True)
class Calibration:
    """A monotonic map of probabilities.

    temperature and platt: sigmoid(scale * logit(p) + shift), temperature with shift 0; isotonic: linear between the
    knots; none: as it is.
    """

    kind: Kind
    scale: float = 1.0  # 1 / temperature
    shift: float = 0.0
    knots: tuple[tuple[float, float], ...] = ()  # ascending (network's probability, calibrated probability)

    def __call__(self, probabilities: tf.Tensor) -> tf.Tensor:
        """Calibrated P(positive), float32 [batch], of float32 [batch] inside 0..1."""
        if self.kind == "none":
            return probabilities
        if self.kind == "isotonic":
            return self._between_knots(probabilities)
        logit = tf.math.log(probabilities) - tf.math.log1p(-probabilities)
        return tf.sigmoid(self.scale * logit + self.shift)

    def _between_knots(self, probabilities: tf.Tensor) -> tf.Tensor:
        # The sum of what each piece has risen so far: the same as looking the piece up, without the lookup,
        # which LiteRT lacks.
        xs = np.array([x for x, _ in self.knots], np.float32)
        ys = np.array([y for _, y in self.knots], np.float32)
        width = np.diff(xs)
        passed = tf.clip_by_value((probabilities[:, None] - xs[:-1]) / width, 0.0, 1.0)
        return ys[0] + tf.reduce_sum(passed * np.diff(ys), axis=-1)

    def as_dict(self) -> dict[str, object]:
        """JSON-able parameters; the temperature is spelled out."""
        if self.kind == "isotonic":
            return {"kind": self.kind, "knots": [list(knot) for knot in self.knots]}
        if self.kind == "temperature":
            return {"kind": self.kind, "temperature": 1.0 / self.scale, "scale": self.scale, "shift": 0.0}
        return {"kind": self.kind, "scale": self.scale, "shift": self.shift}


def apply(calibration: Calibration, probabilities: Scores) -> npt.NDArray[np.float32]:
    """The calibrated probabilities of an array."""
    return calibration(tf.constant(probabilities, tf.float32)).numpy()


def fit(kind: Literal["auto"] | Kind, targets: Labels, probabilities: Scores) -> Calibration:
    """Fits on eval; auto takes the kind with the smallest cross-validated log-loss."""
    if kind != "auto":
        return _FITS[kind](targets, probabilities)
    if min(int((targets == 1).sum()), int((targets == 0).sum())) < 2 * _FOLDS:
        return _temperature(targets, probabilities)  # too few to choose by
    # Isotonic needs the most data, none the least: of equals the simpler wins.
    names: tuple[Kind, ...] = ("none", "temperature", "platt", "isotonic")
    losses = {name: _cross_validated(name, targets, probabilities) for name in names}
    return _FITS[min(names, key=lambda name: losses[name])](targets, probabilities)


def _cross_validated(kind: Kind, targets: Labels, probabilities: Scores) -> float:
    held_out = np.empty(len(targets))
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=_SEED)
    for inside, outside in folds.split(probabilities, targets):
        fitted = _FITS[kind](targets[inside], probabilities[inside])
        held_out[outside] = apply(fitted, probabilities[outside])
    return log_loss(targets, held_out)


def _temperature(targets: Labels, probabilities: Scores) -> Calibration:
    logits = log_odds(probabilities)

    def cost(log_scale: float) -> float:
        return log_loss(targets, expit(np.exp(log_scale) * logits))

    found = optimize.minimize_scalar(cost, bounds=(-4.0, 4.0), method="bounded")
    return Calibration("temperature", scale=float(np.exp(found.x)))


def _platt(targets: Labels, probabilities: Scores) -> Calibration:
    logits = log_odds(probabilities)

    def cost(parameters: npt.NDArray[np.float64]) -> float:
        return log_loss(targets, expit(np.exp(parameters[0]) * logits + parameters[1]))

    found = optimize.minimize(cost, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-5, "fatol": 1e-9})
    return Calibration("platt", scale=float(np.exp(found.x[0])), shift=float(found.x[1]))


def _isotonic(targets: Labels, probabilities: Scores) -> Calibration:
    steps = IsotonicRegression(y_min=_EDGE, y_max=1.0 - _EDGE).fit(probabilities, targets)
    inside = np.unique(probabilities)
    values = steps.predict(inside)
    # One knot in the middle of every step, and the ends beyond the lowest and the highest: between them the map
    # rises, so ranks (and the AUC) survive.
    kept = [(0.0, _EDGE / 2)]
    middles = [(float(inside[values == level].mean()), float(level)) for level in np.unique(values)]
    for x, y in (*middles, (1.0, 1.0 - _EDGE / 2)):
        if x > kept[-1][0] + 1e-6:
            kept.append((x, max(y, kept[-1][1])))
    return Calibration("isotonic", knots=tuple(kept))


_FITS: dict[Kind, Callable[[Labels, Scores], Calibration]] = {
    "temperature": _temperature,
    "platt": _platt,
    "isotonic": _isotonic,
    "none": lambda *_: Calibration("none"),
}

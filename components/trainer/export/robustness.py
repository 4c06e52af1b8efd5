"""What a model loses when the pictures get worse: blur, compression, light, hair, crops, turns.

The same changes, strengths and pictures for every model, so that two models can be compared
(Hendrycks and Dietterich, ICLR 2019, with the changes a dermatoscope makes).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from components.trainer.data.records import spread
from core.measures.auc import auc
from core.measures.rates import Labels, Scores

Pictures = npt.NDArray[np.uint8]  # one or many
Answer = Callable[[Pictures, str], Scores]  # of pictures, and of what was done to them
Effect = Callable[[Pictures, np.random.Generator], Pictures]

_HAIRS: Final = 12
_WHOLE: Final = 224  # strengths in px are meant at this side


@dataclass(frozen=True)
class Change:
    """One change: its name and strength in a reader's words, and what it does to a uint8 RGB picture."""

    name: str
    strength: str
    apply: Effect

    @property
    def title(self) -> str:
        """Name and strength in one."""
        return f"{self.name}, {self.strength}"


def measure(
    answer: Answer,
    pictures: Pictures,
    targets: Labels,
    probabilities: Scores,
    threshold: float,
    count: int,
    seed: int,
) -> dict[str, object]:
    """Ask about changed pictures (uint8 [n, s, s, 3]) of a split that was not trained on.

    `probabilities` ([n], calibrated) are what is answered to the pictures as they are; `seed` draws the hairs. Asked
    about are at most `count` pictures: every positive, up to half of them, the rest spread over the negatives.

    Returns:
        robustness.json: images, positives, and a row a change, the first one unchanged: AUC, what of it is `lost`,
        sensitivity and specificity at the threshold, and the share of pictures whose decision is `changed`.
    """
    chosen = _chosen(targets, count)
    shown, truth, plain = pictures[chosen], targets[chosen], probabilities[chosen]
    rows = [_row("as it is", "", truth, plain, plain, threshold)]
    for change in CHANGES:
        draw = np.random.default_rng(seed)
        changed = np.stack([change.apply(picture, draw) for picture in shown])
        rows.append(
            _row(change.name, change.strength, truth, answer(changed, change.title), plain, threshold)
        )
    return {"split": "eval", "images": len(chosen), "positives": int(truth.sum()), "rows": rows}


def _chosen(targets: Labels, count: int) -> npt.NDArray[np.int64]:
    positives, negatives = np.flatnonzero(targets == 1), np.flatnonzero(targets != 1)
    positives = positives[spread(len(positives), max(1, count // 2))]
    negatives = negatives[spread(len(negatives), max(1, count - len(positives)))]
    return np.sort(np.concatenate([positives, negatives]))


def _row(
    name: str, strength: str, truth: Labels, answers: Scores, plain: Scores, threshold: float
) -> dict[str, Any]:
    positive, above = truth == 1, answers >= threshold
    return {
        "change": name,
        "strength": strength,
        "auc": auc(truth, answers),
        "lost": auc(truth, plain) - auc(truth, answers),
        "sensitivity": float(above[positive].mean()),
        "specificity": float((~above[~positive]).mean()),
        "changed": float(np.mean(above != (plain >= threshold))),
    }


def _blur(sigma: float, picture: Pictures, _: np.random.Generator) -> Pictures:
    return _uint8(cv2.GaussianBlur(picture, (0, 0), sigma * len(picture) / _WHOLE))


def _jpeg(quality: int, picture: Pictures, _: np.random.Generator) -> Pictures:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "JPEG", quality=quality)
    return np.asarray(Image.open(out).convert("RGB"))


def _gain(gains: Sequence[float], picture: Pictures, _: np.random.Generator) -> Pictures:
    return _uint8(picture.astype(np.float32) * np.array(gains, np.float32))


def _contrast(factor: float, picture: Pictures, _: np.random.Generator) -> Pictures:
    return _uint8((picture.astype(np.float32) - picture.mean()) * factor + picture.mean())


def _crop(share: float, picture: Pictures, _: np.random.Generator) -> Pictures:
    side = len(picture)
    margin = round(side * (1.0 - share) / 2)
    inner = picture[margin : side - margin, margin : side - margin]
    return _uint8(cv2.resize(inner, (side, side), interpolation=cv2.INTER_LINEAR))


def _turn(degrees: float, picture: Pictures, _: np.random.Generator) -> Pictures:
    side = len(picture)
    matrix = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), degrees, 1.0)
    return _uint8(cv2.warpAffine(picture, matrix, (side, side), borderMode=cv2.BORDER_REFLECT))


def _hair(picture: Pictures, draw: np.random.Generator) -> Pictures:
    """Dark curved lines across the picture, as wide as hair on a 224-pixel one."""
    side = len(picture)
    drawn = picture.copy()
    for _ in range(_HAIRS):
        start, middle, end = draw.uniform(-0.1, 1.1, (3, 2)) * side
        along = np.linspace(0.0, 1.0, 40)[:, None]
        curve = (1 - along) ** 2 * start + 2 * along * (1 - along) * middle + along**2 * end
        shade = tuple(int(value) for value in draw.uniform(15, 60) * np.array([1.0, 0.85, 0.75]))
        width = max(1, round(draw.uniform(1.0, 2.4) * side / _WHOLE))
        cv2.polylines(drawn, [curve.round().astype(np.int32)], False, shade, width, cv2.LINE_AA)
    return drawn


def _uint8(pixels: npt.ArrayLike) -> Pictures:
    return np.clip(np.rint(np.asarray(pixels, np.float32)), 0, 255).astype(np.uint8)


CHANGES: Final[Sequence[Change]] = (
    Change("blur", "sigma 1 px of 224", partial(_blur, 1.0)),
    Change("blur", "sigma 2 px of 224", partial(_blur, 2.0)),
    Change("JPEG", "quality 40", partial(_jpeg, 40)),
    Change("JPEG", "quality 15", partial(_jpeg, 15)),
    Change("darker", "light x 0.7", partial(_gain, (0.7, 0.7, 0.7))),
    Change("brighter", "light x 1.2", partial(_gain, (1.2, 1.2, 1.2))),
    Change("less contrast", "x 0.7", partial(_contrast, 0.7)),
    Change("warmer light", "red x 1.1, blue x 0.9", partial(_gain, (1.1, 1.0, 0.9))),
    Change("colder light", "red x 0.9, blue x 1.1", partial(_gain, (0.9, 1.0, 1.1))),
    Change("hair", f"{_HAIRS} dark hairs", _hair),
    Change("closer", "middle 80 % of the side", partial(_crop, 0.8)),
    Change("turned", "45 degrees", partial(_turn, 45.0)),
)

"""The lesion's colours and structures, painted into the skin."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.synthetic.noise import Field, fractal, grid, honeycomb, smooth
from pipeline.synthetic.outline import Outline
from pipeline.synthetic.traits import Traits

Image = NDArray[np.float32]

# RGB of polarised dermoscopy for Fitzpatrick types I to VI, 0..1.
TONES: Final = np.array(
    [
        (0.93, 0.76, 0.73),
        (0.91, 0.71, 0.66),
        (0.86, 0.65, 0.58),
        (0.78, 0.57, 0.47),
        (0.63, 0.44, 0.35),
        (0.47, 0.33, 0.27),
    ],
    np.float32,
)
# How much more a unit of melanin, and of blood, takes from red, green and blue.
MELANIN: Final = np.array((0.62, 1.18, 1.55), np.float32)
BLOOD: Final = np.array((0.10, 0.85, 0.72), np.float32)


def draw(rng: np.random.Generator, size: int, skin_type: int) -> Image:
    """Return bare skin of Fitzpatrick type ``skin_type`` (1 to 6): [size, size, 3] float32 in 0..1."""
    tone = TONES[skin_type - 1] * (1 + rng.normal(0, 0.025, 3).astype(np.float32))
    # Cameras differ: a pink, a neutral and a bluish white balance are all common.
    cast = np.array([(1.06, 0.92, 0.96), (1.0, 1.0, 1.0), (0.93, 0.98, 1.08)], np.float32)[rng.integers(3)]
    mottle = fractal(rng, size, 0.35, 4, 0.6)
    flush = smooth(rng, size, 0.5)
    grain = fractal(rng, size, 0.03, 3, 0.8)
    absorbed = (0.020 * mottle + 0.012 * grain)[..., None] * MELANIN
    absorbed += (0.030 * flush + 0.015 * smooth(rng, size, 0.12))[..., None] * BLOOD
    return np.asarray(tone * cast * np.exp(-absorbed), np.float32)


# Melanin of a brown tone, before the lesion's own density.
_MELANIN_OF = {"light_brown": 0.55, "dark_brown": 1.05, "black": 2.1}
_BLUE_GREY = np.array((0.43, 0.46, 0.56), np.float32)
_WHITE = np.array((0.93, 0.86, 0.84), np.float32)


def paint(rng: np.random.Generator, skin: Image, traits: Traits, outline: Outline) -> Image:
    """Return ``skin`` ([size, size, 3] in 0..1) with the lesion on it."""
    size = skin.shape[0]
    width = np.float32(0.04 + 0.20 * (1 - traits.sharpness))
    cover = 1 / (1 + np.exp(-np.clip(outline.level / width, -20, 20) * 4 + 1))
    patches = _patches(rng, traits, outline)
    melanin = sum(
        (patches[name] * value for name, value in _MELANIN_OF.items() if name in patches), start=0 * cover
    )
    # Where another colour lies, some brown lies under it.
    melanin = melanin + np.float32(0.45) * (1 - _browns(patches))
    melanin *= 1 + np.float32(0.16) * fractal(rng, size, 0.10, 4, 0.7)
    # A banal lesion is darker in its middle; a lopsided one on one side.
    side = rng.uniform(0, 2 * np.pi)
    y, x = grid(size)
    slope = (x - outline.centre[0]) * np.cos(side) + (y - outline.centre[1]) * np.sin(side)
    melanin *= (
        0.75
        + 0.55 * (1 - traits.lopsided) * np.clip(outline.level, 0, 1)
        + 0.45 * traits.lopsided * np.clip(slope / outline.radius, -1, 1)
    )
    melanin *= _structures(rng, traits, outline)
    melanin = np.maximum(melanin, 0) * np.float32(0.35 + 1.15 * traits.density)
    blood = patches.get("red", 0 * cover) * np.float32(0.55) + np.float32(0.10)
    absorbed = (cover * melanin)[..., None] * MELANIN + (cover * blood)[..., None] * BLOOD
    image = skin * np.exp(-absorbed)
    for name, colour, strength in (("blue_grey", _BLUE_GREY, 0.62), ("white", _WHITE, 0.40)):
        if name in patches:
            image = _glaze(image, cover * patches[name] * np.float32(strength), colour)
    return np.asarray(_spots(rng, image, traits, outline), np.float32)


def _patches(rng: np.random.Generator, traits: Traits, outline: Outline) -> dict[str, Field]:
    """Share of every colour at each pixel; they add up to 1. The main colour has the widest patch."""
    size = outline.level.shape[0]
    grain = float(np.clip(1.1 * outline.radius / size, 0.08, 0.6))
    fields = [
        smooth(rng, size, grain) + np.float32(0.9 if index == 0 else 0.35)
        for index in range(len(traits.colours))
    ]
    stack = np.exp(np.stack(fields) * np.float32(2.6))
    stack /= stack.sum(0)
    return dict(zip(traits.colours, stack, strict=True))


def _browns(patches: dict[str, Field]) -> Field:
    return np.asarray(sum(share for name, share in patches.items() if name in _MELANIN_OF), np.float32)


def _structures(rng: np.random.Generator, traits: Traits, outline: Outline) -> Field:
    """Factor on the pigment: network, dots and globules, streaks: [size, size] about 1."""
    size = outline.level.shape[0]
    factor = np.ones((size, size), np.float32)
    if traits.network > 0.05:
        cell = max(4.0, size * rng.uniform(0.024, 0.036) * (1 + 0.5 * traits.network_disorder))
        lines = honeycomb(rng, size, cell, traits.network_disorder)
        # An atypical network breaks off in places and is coarse in others.
        held = 1 - traits.network_disorder * np.clip(0.5 + 0.9 * smooth(rng, size, 0.25), 0, 1)
        factor += np.float32(1.1 * traits.network) * held * (lines - np.float32(0.35))
    marks = np.zeros((size, size), np.uint8)
    regular = 1 - traits.network_disorder
    for _ in range(traits.dots):
        turn, reach = rng.uniform(0, 2 * np.pi), np.sqrt(rng.uniform(0, 1)) * (0.9 - 0.4 * regular)
        _dot(marks, _place(outline, turn, reach), rng.uniform(0.006, 0.012 + 0.012 * (1 - regular)))
    start = rng.uniform(0, 2 * np.pi)
    for _ in range(traits.streaks):
        # Streaks of a melanoma sit on one part of the border.
        turn = start + rng.normal(0, 0.5)
        ends = (
            _place(outline, turn, 0.75),
            _place(outline, turn + rng.normal(0, 0.05), rng.uniform(1.0, 1.25)),
        )
        cv2.line(marks, *ends, 255, max(1, round(size * 0.009)), cv2.LINE_AA)
    if traits.dots or traits.streaks:
        factor += (
            np.float32(1.2) * cv2.GaussianBlur(marks, (0, 0), max(0.5, size * 0.004)).astype(np.float32) / 255
        )
    return np.maximum(factor, np.float32(0.1))


def _place(outline: Outline, turn: float, reach: float) -> tuple[int, int]:
    return (
        round(outline.centre[0] + np.cos(turn) * reach * outline.radius),
        round(outline.centre[1] + np.sin(turn) * reach * outline.radius),
    )


def _dot(marks: NDArray[np.uint8], at: tuple[int, int], radius: float) -> None:
    """Draw a disc; its radius is a share of the picture's side."""
    cv2.circle(marks, at, max(1, round(marks.shape[0] * radius)), 255, -1, cv2.LINE_AA)


def _spots(rng: np.random.Generator, image: Image, traits: Traits, outline: Outline) -> Image:
    """Add milia-like cysts and branching vessels."""
    size = image.shape[0]
    if traits.cysts:
        image = _glaze(
            image, _dotted(rng, traits.cysts, outline, size), np.array((0.95, 0.88, 0.76), np.float32)
        )
    if traits.vessels:
        vessels = np.zeros((size, size), np.uint8)
        for _ in range(traits.vessels):
            start = _place(outline, rng.uniform(0, 6.28), rng.uniform(0.2, 1))
            _branch(rng, vessels, start, rng.uniform(0, 6.28), 3)
        share = cv2.GaussianBlur(vessels, (0, 0), max(0.5, size * 0.003)).astype(np.float32) / 255
        image = image * np.exp(-(np.float32(0.9) * share)[..., None] * BLOOD)
    return image


def _dotted(rng: np.random.Generator, count: int, outline: Outline, size: int) -> Field:
    marks = np.zeros((size, size), np.uint8)
    for _ in range(count):
        at = _place(outline, rng.uniform(0, 2 * np.pi), np.sqrt(rng.uniform(0, 0.7)))
        _dot(marks, at, rng.uniform(0.006, 0.014))
    return np.asarray(cv2.GaussianBlur(marks, (0, 0), max(0.6, size * 0.005)), np.float32) * np.float32(
        0.75 / 255
    )


def _branch(
    rng: np.random.Generator, canvas: NDArray[np.uint8], at: tuple[int, int], heading: float, depth: int
) -> None:
    """Draw one vessel that forks ``depth`` times, each branch thinner."""
    size = canvas.shape[0]
    for _ in range(4):
        step = size * 0.035
        heading += rng.normal(0, 0.35)
        following = (round(at[0] + step * np.cos(heading)), round(at[1] + step * np.sin(heading)))
        cv2.line(canvas, at, following, 90 + 50 * depth, max(1, round(size * 0.004 * depth)), cv2.LINE_AA)
        at = following
    if depth > 1:
        for fork in (-0.6, 0.6):
            _branch(rng, canvas, at, heading + fork + rng.normal(0, 0.2), depth - 1)


def _glaze(image: Image, share: Field, colour: NDArray[np.float32]) -> Image:
    return np.asarray(image * (1 - share[..., None]) + colour * share[..., None], np.float32)

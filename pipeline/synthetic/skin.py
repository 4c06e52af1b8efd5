"""The skin around the lesion: tone, blotches, grain and fine vessels."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.synthetic.noise import fractal, smooth

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

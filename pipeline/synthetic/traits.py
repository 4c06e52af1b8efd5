"""What a lesion is like before it is drawn: the ABCD rule's traits, drawn for a diagnosis.

Stolz et al., ABCD rule of dermatoscopy, Eur J Dermatol 4:521 (1994). The diagnoses overlap on purpose:
atypical naevi look like melanomas and early melanomas look like naevi, so that no single trait decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

MELANOMA: Final = "mel"
# Shares among the images that are not melanoma, near those of the archives.
BENIGN: Final = {"nv": 0.78, "bkl": 0.14, "bcc": 0.08}
COLOURS: Final = ("light_brown", "dark_brown", "black", "blue_grey", "red", "white")


@dataclass(frozen=True, slots=True)
class Traits:
    """One lesion's appearance."""

    diagnosis: str  # mel, nv, bkl or bcc
    atypia: float  # 0 (banal) to 1 (wild), the hidden cause of asymmetry, border and colours
    lopsided: float  # 0 to 1, how unlike the two halves are, in shape and in colour
    ragged: float  # 0 to 1, how notched the border is
    colours: tuple[str, ...]  # names out of ``COLOURS``, the first the main one
    diameter_mm: float  # wanted diameter
    density: float  # mean pigment, 0 (pale) to 1 (black)
    sharpness: float  # 0 (fades into the skin) to 1 (cut off)
    network: float  # 0 to 1, strength of the pigment network
    network_disorder: float  # 0 (regular mesh) to 1
    dots: int  # number of dots and globules
    streaks: int  # number of radial streaks at the border
    cysts: int  # number of bright milia-like cysts
    vessels: int  # number of branching vessels


def draw(rng: np.random.Generator, diagnosis: str) -> Traits:
    """Draw a lesion of ``diagnosis`` (mel, nv, bkl or bcc)."""
    atypia = _atypia(rng, diagnosis)

    def near(weight: float, spread: float, base: float = 0.0) -> float:
        return float(np.clip(base + weight * atypia + rng.normal(0, spread), 0, 1))

    return Traits(
        diagnosis=diagnosis,
        atypia=atypia,
        lopsided=near(0.9, 0.12),
        ragged=near(0.8, 0.14, 0.15 if diagnosis == "bkl" else 0.02),
        colours=_colours(rng, diagnosis, atypia),
        diameter_mm=float(np.clip(rng.lognormal(np.log(4.2 + 4.6 * atypia), 0.30), 2.0, 18.0)),
        # The same for every diagnosis: darkness must not tell them apart.
        density=float(np.clip(rng.beta(3, 3), 0.08, 0.92)) * (0.55 if diagnosis == "bcc" else 1.0),
        sharpness=float(np.clip(rng.normal(0.75 if diagnosis == "bkl" else 0.45, 0.18), 0.05, 1)),
        network=0.0 if diagnosis in {"bkl", "bcc"} else float(rng.beta(2.5, 2)),
        network_disorder=near(0.9, 0.12),
        dots=int(rng.poisson(3 + 16 * atypia)) if diagnosis in {"mel", "nv"} else 0,
        streaks=int(rng.poisson(9 * max(0.0, atypia - 0.45))) if diagnosis in {"mel", "nv"} else 0,
        cysts=int(rng.poisson(7)) if diagnosis == "bkl" else 0,
        vessels=int(rng.poisson(4)) + 1 if diagnosis == "bcc" else 0,
    )


def _atypia(rng: np.random.Generator, diagnosis: str) -> float:
    if diagnosis == MELANOMA:
        # One in twelve is early: hardly more than an atypical naevus.
        return float(rng.beta(2.6, 3.0) if rng.random() < 0.08 else rng.beta(8.0, 2.6))
    if diagnosis == "nv" and rng.random() < 0.10:
        return float(rng.beta(4.0, 4.6))
    return float(rng.beta(1.8, 7.0))


def _colours(rng: np.random.Generator, diagnosis: str, atypia: float) -> tuple[str, ...]:
    others: tuple[str, ...]
    if diagnosis == "bcc":
        first, others = "red", ("light_brown", "blue_grey", "white")
        count = 1 + int(rng.binomial(2, 0.45))
    else:
        first = str(
            rng.choice(["light_brown", "dark_brown", "dark_brown", "black"], p=[0.35, 0.25, 0.25, 0.15])
        )
        others = tuple(name for name in COLOURS if name != first)
        count = 1 + int(rng.binomial(4, np.clip(0.06 + 0.72 * atypia, 0, 1)))
    # Blue-grey veils and white scars are rare where nothing is wrong.
    rare = 0.25 + 0.75 * atypia
    weights = np.array([rare if name in {"blue_grey", "white"} else 1.0 for name in others])
    chosen = rng.choice(others, size=min(count - 1, len(others)), replace=False, p=weights / weights.sum())
    return (first, *(str(name) for name in chosen))

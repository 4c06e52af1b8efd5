"""The people of a synthetic cohort, and which lesions they have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline.synthetic.config import SynthConfig
from pipeline.synthetic.traits import BENIGN, MELANOMA

SITES: Final = (
    "back",
    "lower extremity",
    "trunk",
    "upper extremity",
    "abdomen",
    "face",
    "chest",
    "neck",
    "scalp",
)
_SITE_SHARES: Final = np.array((0.24, 0.22, 0.15, 0.12, 0.10, 0.08, 0.04, 0.03, 0.02))
_SKIN_SHARES: Final = np.array((0.14, 0.34, 0.28, 0.13, 0.07, 0.04))


@dataclass(frozen=True, slots=True)
class Case:
    """One lesion of one patient; an empty string is an unknown value."""

    number: int  # 0-based place in the cohort
    patient: str  # pseudonym
    lesion: str  # pseudonym
    diagnosis: str  # mel, nv, bkl or bcc
    age: str  # years, rounded to five as in the archives
    sex: str  # male, female or empty
    site: str  # one of ``SITES`` or empty
    skin_type: int  # Fitzpatrick 1 to 6


def cohort(config: SynthConfig) -> list[Case]:
    """Draw the whole cohort: ``config.images`` cases, the share of melanomas exact to one image."""
    rng = np.random.default_rng(np.random.SeedSequence([config.seed, 0]))
    positives = max(3, round(config.images * config.melanoma_share))
    names, shares = list(BENIGN), list(BENIGN.values())
    benign = rng.choice(names, size=config.images - positives, p=shares)
    diagnoses = rng.permutation(np.concatenate([np.full(positives, MELANOMA), benign]))
    cases: list[Case] = []
    patient = 0
    while len(cases) < config.images:
        patient += 1
        sex = str(rng.choice(["male", "female"]))
        skin_type = int(rng.choice(6, p=_SKIN_SHARES)) + 1
        lesions = min(int(rng.geometric(1 / config.lesions_per_patient)), config.images - len(cases))
        mine = diagnoses[len(cases) : len(cases) + lesions]
        age = int(np.clip(rng.normal(58 if MELANOMA in mine else 50, 15), 10, 90) // 5 * 5)
        for diagnosis in mine:
            number = len(cases)
            known = rng.random(3) >= config.missing_share
            cases.append(
                Case(
                    number=number,
                    patient=f"SP_{patient:06d}",
                    lesion=f"SL_{number:06d}",
                    diagnosis=str(diagnosis),
                    age=f"{age}.0" if known[0] else "",
                    sex=sex if known[1] else "",
                    site=str(rng.choice(SITES, p=_SITE_SHARES)) if known[2] else "",
                    skin_type=skin_type,
                )
            )
    return cases

"""A synthetic cohort: how it is configured, who is in it, and its files in the plain csv layout that ingest reads."""

from __future__ import annotations

import csv
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
from pydantic import Field

from core.errors import UsageError
from core.process import cores
from core.settings import Frozen
from pipeline.synthetic import render, traits
from pipeline.synthetic.traits import BENIGN, MELANOMA

if TYPE_CHECKING:
    from components.ingest.beam_job import Listener

# Tells a folder that this module wrote from one of the user's.
MARKER: Final = "synthetic.json"

_SITE_SHARES: Final = {
    "back": 0.24,
    "lower extremity": 0.22,
    "trunk": 0.15,
    "upper extremity": 0.12,
    "abdomen": 0.10,
    "face": 0.08,
    "chest": 0.04,
    "neck": 0.03,
    "scalp": 0.02,
}
_SKIN_SHARES: Final = np.array((0.14, 0.34, 0.28, 0.13, 0.07, 0.04))


class SynthConfig(Frozen):
    """Size, seed and mix of a synthetic cohort; the same values give the same bytes."""

    images: int = Field(default=2000, ge=10, le=1_000_000, description="how many images, one a lesion")
    size: int = Field(default=192, ge=96, le=1024, description="height and width in pixels")
    seed: int = Field(default=2020, ge=0, description="start of every random draw")
    melanoma_share: float = Field(
        default=0.09, ge=0.01, le=0.5, description="share of melanomas, as in the archives 0.08 to 0.10"
    )
    lesions_per_patient: float = Field(
        default=2.5, ge=1, le=50, description="mean number of lesions one patient has"
    )
    hair_share: float = Field(default=0.35, ge=0, le=1, description="share of images with hairs across them")
    missing_share: float = Field(
        default=0.03, ge=0, le=0.9, description="share of unknown values in each of age, sex and site"
    )
    jpeg_quality: int = Field(default=92, ge=50, le=100, description="JPEG quality of the written images")
    masks: bool = Field(default=True, description="whether the lesion masks are written as 1-channel PNG")
    workers: int = Field(
        default=0,
        ge=0,
        le=256,
        description="threads that render; 0: one for each core (the bytes do not depend on it)",
    )


@dataclass(frozen=True, slots=True)
class Case:
    """One lesion of one patient; an empty string is an unknown value."""

    number: int  # 0-based place in the cohort
    patient: str  # pseudonym
    lesion: str  # pseudonym
    diagnosis: str  # mel, nv, bkl or bcc
    age: str  # years, rounded to five as in the archives
    sex: str  # male, female or empty
    site: str  # empty: unknown
    skin_type: int  # Fitzpatrick 1 to 6


def cohort(config: SynthConfig) -> list[Case]:
    """Draw the whole cohort: ``config.images`` cases, the share of melanomas exact to one image."""
    rng = np.random.default_rng(np.random.SeedSequence([config.seed, 0]))
    positives = max(3, round(config.images * config.melanoma_share))
    names, shares = list(BENIGN), list(BENIGN.values())
    sites, site_shares = list(_SITE_SHARES), list(_SITE_SHARES.values())
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
                    site=str(rng.choice(sites, p=site_shares)) if known[2] else "",
                    skin_type=skin_type,
                )
            )
    return cases


class OccupiedError(UsageError):
    """The output folder holds something that no synthetic cohort wrote."""


def synthesise(
    config: SynthConfig,
    out: Path | str,
    *,
    force: bool = False,
    listener: Listener | None = None,
) -> Path:
    """Render ``config.images`` lesions into ``out`` and return the path of its ``metadata.csv``.

    Writes ``images/*.jpg``, ``masks/*.png``, ``metadata.csv`` (lengths in millimetres, ``colours`` separated by
    spaces) and ``synthetic.json`` (the configuration). The folder appears whole or not at all, in place of an earlier
    synthetic cohort, or with ``force`` of whatever is there.

    Raises:
        OccupiedError: ``out`` holds other files and ``force`` is not set.
    """
    out = Path(out)
    if not force and out.exists() and not (out / MARKER).is_file() and (out.is_file() or any(out.iterdir())):
        raise OccupiedError(
            f"{out} exists and was not written by synth: choose another folder, or --force to replace it"
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        _write(config, staging, listener)
        staging.chmod(0o755)
        if out.is_dir() and not out.is_symlink():
            shutil.rmtree(out)
        elif out.exists() or out.is_symlink():
            out.unlink()
        staging.rename(out)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    return out / "metadata.csv"


def _write(config: SynthConfig, folder: Path, listener: Listener | None) -> None:
    (folder / "images").mkdir()
    if config.masks:
        (folder / "masks").mkdir()
    cases = cohort(config)
    with (
        ThreadPoolExecutor(config.workers or cores()) as pool,
        (folder / "metadata.csv").open("w", newline="", encoding="utf-8") as file,
    ):
        table = csv.writer(file)
        for done, row in enumerate(pool.map(lambda case: _one(config, case, folder), cases), start=1):
            if done == 1:
                table.writerow(row)  # its keys
            table.writerow(row.values())
            if listener is not None:
                listener("draw", done, len(cases))
    (folder / MARKER).write_text(
        config.model_dump_json(indent=2, exclude={"workers"}) + "\n", encoding="utf-8"
    )


def _one(config: SynthConfig, case: Case, folder: Path) -> dict[str, object]:
    """Render and write one case; its random numbers depend on the seed and its place alone."""
    rng = np.random.default_rng(np.random.SeedSequence([config.seed, 1, case.number]))
    look = traits.draw(rng, case.diagnosis)
    picture = render.render(rng, look, config.size, case.skin_type, config.hair_share)
    name = f"SYN_{case.number:07d}"
    bgr = cv2.cvtColor(picture.image, cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(folder / "images" / f"{name}.jpg"), bgr, [cv2.IMWRITE_JPEG_QUALITY, config.jpeg_quality])
    if config.masks:
        cv2.imwrite(str(folder / "masks" / f"{name}.png"), picture.mask)
    return {
        "image_name": name,
        "patient_id": case.patient,
        "lesion_id": case.lesion,
        "diagnosis": case.diagnosis,
        "age_approx": case.age,
        "sex": case.sex,
        "anatom_site": case.site,
        "target": int(case.diagnosis == MELANOMA),
        "asymmetry": round(picture.measured.asymmetry, 4),
        "border_irregularity": round(picture.measured.border_irregularity, 4),
        "colours": " ".join(look.colours),
        "diameter_mm": round(picture.measured.diameter * picture.mm_per_pixel, 2),
        "area_share": round(picture.measured.area_share, 4),
        "mm_per_pixel": round(picture.mm_per_pixel, 5),
        "atypia": round(look.atypia, 4),
        "skin_type": case.skin_type,
        "hairs": picture.hairs,
    }

"""Writes a synthetic cohort in the plain csv layout that ingest reads."""

from __future__ import annotations

import csv
import os
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from pipeline.synthetic import patients, render, traits
from pipeline.synthetic.config import SynthConfig
from pipeline.synthetic.patients import Case

COLUMNS: Final = (
    "image_name",
    "patient_id",
    "lesion_id",
    "diagnosis",
    "age_approx",
    "sex",
    "anatom_site",
    "target",
    "asymmetry",
    "border_irregularity",
    "colours",
    "diameter_mm",
    "area_share",
    "mm_per_pixel",
    "atypia",
    "skin_type",
    "hairs",
)
# Tells a folder that this module wrote from one of the user's.
MARKER: Final = "synthetic.json"


class OccupiedError(ValueError):
    """The output folder holds something that no synthetic cohort wrote."""


def synthesise(
    config: SynthConfig,
    out: Path | str,
    *,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Render ``config.images`` lesions into ``out`` and return the path of its ``metadata.csv``.

    Writes ``images/*.jpg``, ``masks/*.png``, ``metadata.csv`` (the columns of ``COLUMNS``; lengths in
    millimetres, ``colours`` separated by spaces) and ``synthetic.json`` (the configuration). The folder appears
    whole or not at all.

    Args:
        config: what to render.
        out: folder; replaced when it is an earlier synthetic cohort.
        force: replace whatever is there.
        progress: called with images done and images in all.

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
        _write(config, staging, progress)
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


def _write(config: SynthConfig, folder: Path, progress: Callable[[int, int], None] | None) -> None:
    (folder / "images").mkdir()
    if config.masks:
        (folder / "masks").mkdir()
    cases = patients.cohort(config)
    workers = config.workers or os.cpu_count() or 1
    with (
        ThreadPoolExecutor(workers) as pool,
        (folder / "metadata.csv").open("w", newline="", encoding="utf-8") as file,
    ):
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        for done, row in enumerate(pool.map(lambda case: _one(config, case, folder), cases), start=1):
            table.writerow(row)
            if progress is not None:
                progress(done, len(cases))
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
        "target": int(case.diagnosis == traits.MELANOMA),
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

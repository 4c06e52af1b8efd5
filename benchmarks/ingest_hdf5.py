"""Ingest of a data set like ISIC 2024: one HDF5 file of small pictures, a table of 55 columns, read in place.

    python benchmarks/ingest_hdf5.py [--images 100000] [--side 128]

Draws the pictures (a lesion of its own in each, so that none is a near-copy), writes `train-image.hdf5` and
`train-metadata.csv`, and runs `melanosizer ingest` on them in a process of its own.

Prints images/s by the clock and by processor second, and the peak of the memory of all its processes together
(proportional set size, asked twice a second).
"""

from __future__ import annotations

import io
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

from benchmarks.measuring import command_line, markdown, tree_sum

MALIGNANT = 1020  # one in so many, as in the archive: 393 of 401,059
# Diagnoses from the whole down to the third level, by `target`.
DIAGNOSES = (
    ("Benign", "Benign", ""),
    ("Malignant::Melanoma", "Malignant", "Malignant melanocytic proliferations (Melanoma)"),
)
POLL_SECONDS = 0.5


def main() -> None:
    """Measure and print one table."""
    parser = command_line(__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--side", type=int, default=128, help="pixels; the archive's crops have about 130")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "isic2024")
        folder.mkdir()
        write(folder, options.images, options.side)
        seconds, processor, peak, said = ingest(folder, Path(scratch, "out"))
    values = (options.images, options.images / seconds, options.images / processor, peak / 2**20)
    columns = "images", "images/s", "images a processor second", "peak memory, MiB"
    print(f"{said}\n\n{markdown(columns, [[f'{value:,.0f}' for value in values]])}")


def write(folder: Path, images: int, side: int) -> None:
    """Write the HDF5 file and its table."""
    chance = np.random.default_rng(2024)
    other = [f"tbp_lv_{number:02}" for number in range(40)]
    columns = ["isic_id", "target", "patient_id", "age_approx", "sex", "anatom_site_general", "lesion_id"]
    levels = ["iddx_full", *(f"iddx_{level}" for level in range(1, 6))]
    with (
        h5py.File(folder / "train-image.hdf5", "w") as file,
        (folder / "train-metadata.csv").open("w") as table,
    ):
        table.write(",".join([*columns, *levels, *other]) + "\n")
        for number in range(images):
            name = f"ISIC_{number:07}"
            file[name] = np.frombuffer(picture(chance, side), np.uint8)
            target = int(number % MALIGNANT == 0)
            patient = f"IP_{number // 380:05}", 60, "male", "torso", ""
            row = name, target, *patient, *DIAGNOSES[target], "", "", ""
            table.write(",".join(map(str, [*row, *(f"{value:.6f}" for value in chance.random(40))])) + "\n")


def picture(chance: np.random.Generator, side: int) -> bytes:
    """Return a small JPEG with detail of its own."""
    coarse = Image.fromarray(chance.integers(60, 220, (12, 12, 3), np.uint8))
    stream = io.BytesIO()
    coarse.resize((side, side), Image.Resampling.BICUBIC).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def ingest(folder: Path, out: Path) -> tuple[float, float, float, str]:
    """Run the command; return seconds, processor seconds, the peak of its memory in bytes, and what it said."""
    where = ["--source", f"isic2024:{folder}", "--out", str(out)]
    command = [sys.executable, "-m", "pipeline", "ingest", *where]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start, peak = time.perf_counter(), 0.0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            peak = max(peak, tree_sum(process.pid, lambda one: one.memory_full_info().pss))
            time.sleep(POLL_SECONDS)
        said = process.stdout.read() if process.stdout else ""
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if process.returncode:
        sys.exit(said)
    account = next(line for line in said.splitlines() if "rows read" in line)
    return seconds, processor, peak, account


if __name__ == "__main__":
    main()

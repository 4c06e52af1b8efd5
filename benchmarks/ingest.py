"""Ingest against a bare loop that only decodes the same files with Pillow.

    python benchmarks/ingest.py --images DIR [--sizes native,600x450,1024x768] [--count 3000] [--repeats 3]

DIR is a folder of JPEG files, for example ham10000/images. For every size other than `native` the files are enlarged
first (bicubic, quality 90), because archives hold larger pictures than that copy. The bare loop reads, opens and loads
each file on one core and does nothing else; ingest checks, hashes, compares, splits and writes TFRecords.

Prints, as medians over the repeats: images/s by the clock and by processor second, ingest's share of the bare loop a
core, and the number of cores it kept busy. Another load on the machine changes the clock's figures more than the
processor's.
"""

from __future__ import annotations

import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from benchmarks.measuring import command_line, markdown
from components.ingest.config import IngestConfig, Source
from components.ingest.job import ingest
from core.process import cores


def main() -> None:
    """Measure and print one table."""
    parser = command_line(__doc__)
    parser.add_argument("--images", type=Path, required=True, help="folder of JPEG files")
    parser.add_argument(
        "--sizes", default="native,600x450,1024x768", help="comma-separated; WIDTHxHEIGHT or native"
    )
    parser.add_argument("--count", type=int, default=3000, help="files a size, at most")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    files = sorted(options.images.glob("*.jpg"))[: options.count]
    if len(files) < 100:
        sys.exit(f"--images {options.images}: {len(files)} JPEG files; at least 100 are needed")
    with tempfile.TemporaryDirectory() as scratch:
        rows = [
            [size, *_row(_prepare(files, size, Path(scratch)), Path(scratch), options.repeats)]
            for size in options.sizes.split(",")
        ]
    print(f"{len(files)} files, {cores()} cores, medians of {options.repeats}\n")
    rates = "bare img/s", "ingest img/s", "bare img/cpu-s", "ingest img/cpu-s"
    print(markdown(("pixels", *rates, "a core", "cores busy"), rows))


def _prepare(files: list[Path], size: str, scratch: Path) -> Path:
    """A csv layout of the files at ``size``."""
    folder = scratch / size
    (folder / "images").mkdir(parents=True)
    lines = ["image_name,target"]
    for index, file in enumerate(files):
        target = folder / "images" / file.name
        if size == "native":
            target.symlink_to(file.resolve())
        else:
            width, height = (int(side) for side in size.split("x"))
            with Image.open(file) as image:
                image.resize((width, height), Image.Resampling.BICUBIC).save(target, quality=90)
        lines.append(f"{file.stem},{int(index % 11 == 0)}")
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n")
    return folder


def _row(folder: Path, scratch: Path, repeats: int) -> list[str]:
    files = sorted((folder / "images").iterdir())
    config = IngestConfig(sources=(Source(kind="csv", path=folder),))
    bare, whole = [], []
    # In turns, so that a slow minute of the machine meets both.
    for _ in range(repeats):
        bare.append(_measure(len(files), lambda: _decode(files)))
        whole.append(_measure(len(files), lambda: ingest(config, scratch / "out")))
    (bare_clock, bare_core, _), (clock, core, busy) = (
        map(statistics.median, zip(*turns, strict=True)) for turns in (bare, whole)
    )
    rates = bare_clock, clock, bare_core, core
    return [*(f"{rate:.0f}" for rate in rates), f"{core / bare_core:.2f}", f"{busy:.2f}"]


def _decode(files: list[Path]) -> None:
    for file in files:
        with Image.open(file) as image:
            image.load()


def _measure(images: int, work: Callable[[], object]) -> tuple[float, float, float]:
    """Images a second by the clock and by the processor, and how many cores were busy."""
    wall, processor = time.perf_counter(), _processor()
    work()
    wall, processor = time.perf_counter() - wall, _processor() - processor
    return images / wall, images / processor, processor / wall


def _processor() -> float:
    """Processor seconds of this process and of its children that have ended."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


if __name__ == "__main__":
    main()

"""What a run costs at other sizes: measured rates, a small model of the pipeline, and where it breaks first.

    python -m benchmarks.scale measure --source ham10000:ham10000/metadata.csv   # writes benchmarks/scale.json
    python -m benchmarks.scale                                                   # prints the tables of docs/scale.md

`measure` ingests 1,000 images and all of them, runs the `smoke` pipeline on both, compares 10,000 to 40,000 random
hashes and trains EfficientNet-Lite0 for some steps. The model takes a step as a fixed part and a part an image (the
line through the two sizes), the comparison of hashes as quadratic, and training as images over a rate that falls with
the pixels. What Beam does is divided by the cores that run its workers, and so is the comparison by the cores of one
machine; nothing else is.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks.measuring import command_line, markdown

KEPT: Final = Path(__file__).with_name("scale.json")
SIZES: Final = (57_224, 1_000_000, 100_000_000)
SMALL: Final = 1_000
# Steps that are Beam jobs; the rest runs on one machine.
BEAM: Final = ("ImportExampleGen", "StatisticsGen", "Transform", "Evaluator")
# Of `full`: (pixels, epochs); its own budget would cut them.
FULL: Final = ((128, 10), (160, 8), (192, 6))
CACHE_SIDE: Final = 224  # px: the Trainer's decoded pictures


@dataclass(frozen=True)
class Line:
    """Seconds of a step: ``fixed + images * each``."""

    fixed: float
    each: float

    @classmethod
    def through(cls, small: tuple[int, float], large: tuple[int, float]) -> Line:
        """The line through two measurements (images, seconds); never a negative part."""
        each = max(0.0, (large[1] - small[1]) / (large[0] - small[0]))
        return cls(max(0.0, small[1] - small[0] * each), each)

    def at(self, images: int, workers: int = 1) -> float:
        """Seconds for so many images when so many cores share the part an image has."""
        return self.fixed + images * self.each / workers


@dataclass(frozen=True)
class Rates:
    """What was measured, on one machine.

    Attributes:
        steps: of the pipeline and `ingest`, for `cores` cores.
        pair_seconds: of comparing one pair of hashes, on all cores.
        trained: images a second of EfficientNet-Lite0, all layers, at 128 px.
        image_bytes: of one JPEG, in the TFRecords.
    """

    machine: str
    cores: int
    when: str
    images: int
    steps: dict[str, Line]
    pair_seconds: float
    trained: float
    image_bytes: float


@dataclass(frozen=True)
class Row:
    """A step's cost at one size."""

    step: str
    seconds: float
    gigabytes: float = 0.0


def project(rates: Rates, images: int, workers: int, accelerator: float = 1.0) -> list[Row]:
    """Cost of each step for `images`.

    Args:
        rates: measured.
        images: of the data set; 70 % are trained on.
        workers: machines like the measured one that share Beam's work.
        accelerator: how many times faster than the measured machine the Trainer's one is.
    """
    share = rates.image_bytes * images / 1e9
    rows = [
        Row("ingest: check and write", rates.steps["ingest"].at(images, workers), 2 * share),
        Row("ingest: compare all pairs of hashes", images**2 / 2 * rates.pair_seconds),
    ]
    rows += [
        Row(name, rates.steps[name].at(images, workers), share if name == "ImportExampleGen" else 0.0)
        for name in BEAM
    ]
    passes = sum(epochs * (size / 128) ** 2 for size, epochs in FULL)
    training = 0.7 * images * passes / rates.trained / accelerator
    rows.append(Row("Trainer, `full` uncut", training, images * 0.85 * CACHE_SIDE**2 * 3 / 1e9))
    rest = sum(
        line.at(images) for name, line in rates.steps.items() if name not in (*BEAM, "ingest", "Trainer")
    )
    rows.append(Row("everything else", rest))
    return rows


def table(rates: Rates, sizes: Iterable[int], workers: int, accelerator: float) -> str:
    """The projections side by side, as Markdown."""
    columns = [project(rates, images, workers, accelerator) for images in sizes]
    rows = [(steps[0].step, *map(_cell, steps)) for steps in zip(*columns, strict=True)]
    totals = [_time(sum(one.seconds for one in column)) for column in columns]
    rows.append(("**in all**", *(f"**{total}**" for total in totals)))
    return markdown(("step", *(f"{images:,} images" for images in sizes)), rows)


def _cell(row: Row) -> str:
    return _time(row.seconds) + (f", {_size(row.gigabytes)}" if row.gigabytes else "")


def _time(seconds: float) -> str:
    for limit, unit, size in ((90, "s", 1), (90 * 60, "min", 60), (48 * 3600, "h", 3600)):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}" if seconds / size >= 10 else f"{seconds / size:.1f} {unit}"
    days = seconds / 86400
    return f"{days:,.0f} days" if days < 1000 else f"{days / 365:,.0f} years"


def _size(gigabytes: float) -> str:
    return f"{gigabytes:.1f} GB" if gigabytes < 1000 else f"{gigabytes / 1000:,.1f} TB"


def measure(source: str) -> Rates:
    """Measure everything; some ten minutes on two cores."""
    import numpy as np
    from rich.console import Console

    from components.ingest import fingerprint
    from components.ingest.config import IngestConfig, Source
    from components.ingest.job import ingest
    from core.workspace import Workspace
    from pipeline import config as configuration
    from pipeline.run import execute

    console = Console()
    parsed = Source.parse(source)
    seconds: dict[int, dict[str, float]] = {}
    size = 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table_path, images_folder = parsed.table(), parsed.image_place()
        header, *rows = table_path.read_text().splitlines()
        for count in (SMALL, len(rows)):
            own = folder / f"{count}.csv"
            own.write_text("\n".join([header, *rows[:count]]) + "\n")
            begun = time.monotonic()
            data = folder / f"data-{count}"
            here = Source.parse(f"{parsed.kind}:{own},images={images_folder}")
            manifest = ingest(IngestConfig(sources=(here,)), data)
            written = manifest.counts.written
            seconds[written] = {"ingest": time.monotonic() - begun}
            size = sum(file.stat().st_size for file in data.rglob("*.gz")) / written
            workspace = Workspace(folder / f"workspace-{count}")
            preset = configuration.load("smoke")
            result = execute(preset, preset="smoke", workspace=workspace, data=data, console=console)
            if result.status == "failed":
                sys.exit(f"the pipeline failed: {result.reason}")
            for step in result.steps:
                seconds[written][step.name] = seconds[written].get(step.name, 0.0) + step.seconds
    small, large = sorted(seconds)
    draw = np.random.default_rng(0)
    pairs: list[float] = []
    for count in (10_000, 20_000, 40_000):
        hashes = draw.integers(0, 256, (count, fingerprint.BYTES), np.uint8)
        begun = time.monotonic()
        fingerprint.near_pairs(hashes, 40)
        pairs.append((time.monotonic() - begun) / (count**2 / 2))
        print(f"{count:,} hashes: {pairs[-1] * 1e9:.2f} ns a pair")
    return Rates(
        machine=platform.processor() or platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        when=datetime.now(UTC).date().isoformat(),
        images=large,
        steps={
            step: Line.through((small, seconds[small][step]), (large, seconds[large][step]))
            for step in seconds[large]
        },
        pair_seconds=pairs[-1],
        trained=_trained(),
        image_bytes=size,
    )


def _trained(steps: int = 12) -> float:
    """Images a second of the step that `full` trains with, at 128 px in batches of 32."""
    from benchmarks.training import NOW, training_step
    from pipeline.config import load as preset

    step = training_step(128, preset("full").trainer, NOW)
    step()
    begun = time.monotonic()
    for _ in range(steps):
        step()
    return steps * 32 / (time.monotonic() - begun)


def load(path: Path = KEPT) -> Rates:
    """Read what `measure` wrote."""
    content = json.loads(path.read_text())
    content["steps"] = {name: Line(**line) for name, line in content["steps"].items()}
    return Rates(**content)


def main() -> None:
    """Measure, or print the tables."""
    parser = command_line(__doc__)
    parser.add_argument("what", nargs="?", choices=("tables", "measure"), default="tables")
    parser.add_argument("--source", help="as `melanosizer ingest --source` takes it; for measure")
    options = parser.parse_args()
    if options.what == "measure":
        if not options.source:
            parser.error("measure needs --source")
        KEPT.write_text(json.dumps(asdict(measure(options.source)), indent=1) + "\n")
    rates = load()
    print(f"\nmeasured {rates.when} on {rates.cores} cores with {rates.images:,} images\n")
    print("One machine like it:\n")
    print(table(rates, SIZES, workers=1, accelerator=1.0))
    print("\n32 such machines for Beam, and a Trainer 100 times as fast:\n")
    print(table(rates, SIZES, workers=32, accelerator=100.0))


if __name__ == "__main__":
    main()

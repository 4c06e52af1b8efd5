"""How large an example is, and its ingested data sets: pictures, TFRecords, manifest, quarantine."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import random
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

from core import tfrecord

SITES = ("back", "abdomen", "lower extremity", "face", "chest")
THRESHOLD, LOW_BELOW = 0.18, 0.03
WARM = (206.0, 152.0, 132.0)


@dataclass(frozen=True)
class Size:
    """How much there is."""

    runs: int = 6
    images: int = 300
    predictions: int = 400
    devices: int = 12
    seed: int = 7


def picture(seed: int, *, malignant: bool = False, side: int = 96) -> bytes:
    """A JPEG of something round and brown."""
    chance = random.Random(seed)  # noqa: S311
    image = Image.new("RGB", (side, side), tuple(int(c + chance.uniform(-12, 12)) for c in WARM))
    draw = ImageDraw.Draw(image)
    middle, radius = side / 2, side * chance.uniform(0.18, 0.3)
    for _ in range(7 if malignant else 2):
        dx, dy = (chance.uniform(-1, 1) * side * (0.13 if malignant else 0.02) for _ in range(2))
        brown = tuple(int(c * chance.uniform(0.35, 0.75 if malignant else 0.55)) for c in (180, 118, 84))
        box = (middle + dx - radius, middle + dy - radius, middle + dx + radius, middle + dy + radius)
        draw.ellipse(box, fill=brown)
    target = io.BytesIO()
    image.filter(ImageFilter.GaussianBlur(1.2)).save(target, "JPEG", quality=88)
    return target.getvalue()


def data_set(folder: Path, size: Size, number: int) -> tuple[Path, str]:
    """Write one; its folder and data version."""
    chance = random.Random(size.seed + number)  # noqa: S311
    seal = hashlib.sha256()
    counts: dict[str, int] = {}
    for split, share in (("train", 0.5), ("eval", 0.2), ("test", 0.3)):
        (folder / split).mkdir(parents=True, exist_ok=True)
        raws = [
            _example(chance, f"SAMPLE_{number}_{split}_{i:05d}", i) for i in range(round(size.images * share))
        ]
        tfrecord.write(folder / split / "data-00000-of-00001.tfrecord.gz", raws)
        for raw in raws:
            seal.update(raw)
        counts[split] = len(raws)
    version = seal.hexdigest()
    (folder / "manifest.json").write_text(
        json.dumps({"data_version": version, "created": "2026-11-01", "counts": counts})
    )
    (folder / "quarantine").mkdir(exist_ok=True)
    with (folder / "quarantine.csv").open("w", newline="") as table:
        rows = csv.writer(table)
        rows.writerow(["source", "row", "image_name", "file", "reason", "detail"])
        for i in range(4):
            path = f"quarantine/copy-{i}.jpg"
            (folder / path).write_bytes(picture(i))
            rows.writerow(
                ["clinic-b", i, f"COPY_{i}", path, "duplicate", f"like SAMPLE_{number}_train_{i:05d}"]
            )
        rows.writerow(["clinic-a", 9, "BROKEN_0", "", "unreadable", "ends within the image data"])
    return folder, version


def _example(chance: random.Random, name: str, i: int) -> bytes:
    target = int(i % 9 == 0)
    return tfrecord.encode(
        {
            "image": picture(chance.randrange(1 << 30), malignant=bool(target)),
            "image_name": name.encode(),
            "source": b"clinic-a" if i % 4 else b"clinic-b",
            "group_id": f"patient-{i // 2}".encode(),
            "diagnosis": b"melanoma" if target else b"nevus",
            "sex": (b"female", b"male")[i % 2],
            "anatom_site": SITES[i % len(SITES)].encode(),
            "target": target,
            "age_approx": float(20 + (i * 7) % 65),
        }
    )

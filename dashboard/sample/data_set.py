"""An ingested data set: TFRecords, manifest, quarantine."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import random
import struct
from pathlib import Path

from core.protos import example_pb2
from dashboard.sample.picture import picture
from dashboard.sample.size import SITES, Size


def data_set(folder: Path, size: Size, number: int) -> tuple[Path, str]:
    """Write one; its folder and data version."""
    chance = random.Random(size.seed + number)  # noqa: S311
    seal = hashlib.sha256()
    counts: dict[str, int] = {}
    for split, share in (("train", 0.5), ("eval", 0.2), ("test", 0.3)):
        (folder / split).mkdir(parents=True, exist_ok=True)
        with gzip.open(folder / split / "data-00000-of-00001.tfrecord.gz", "wb", compresslevel=1) as stream:
            for i in range(round(size.images * share)):
                raw = _example(chance, f"SAMPLE_{number}_{split}_{i:05d}", i)
                seal.update(raw)
                head = struct.pack("<Q", len(raw))
                stream.write(head + b"\0\0\0\0" + raw + b"\0\0\0\0")
                counts[split] = counts.get(split, 0) + 1
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
    message = example_pb2.Example()
    features = message.features.feature
    features["image"].bytes_list.value.append(picture(chance.randrange(1 << 30), malignant=bool(target)))
    for key, value in (
        ("image_name", name),
        ("source", "clinic-a" if i % 4 else "clinic-b"),
        ("group_id", f"patient-{i // 2}"),
        ("diagnosis", "melanoma" if target else "nevus"),
        ("sex", ("female", "male")[i % 2]),
        ("anatom_site", SITES[i % len(SITES)]),
    ):
        features[key].bytes_list.value.append(value.encode())
    features["target"].int64_list.value.append(target)
    features["age_approx"].float_list.value.append(20 + (i * 7) % 65)
    raw: bytes = message.SerializeToString()
    return raw

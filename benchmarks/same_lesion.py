"""Which descriptor finds two pictures of one lesion: ingest's perceptual hash, or features of a pretrained network?

    python -m benchmarks.same_lesion HAM10000_FOLDER [--lesions 400] [--side 160] [--turns 1 4]

Expected: see README.md, "The same lesion"; about 2 processor minutes a turn.

False joins are counted on real pictures: among all pairs of one picture each of 5,984 different lesions, the most alike
of them too. Pairs of one lesion are drawn, because the folder has one picture a lesion: each of ``--lesions`` pictures is
taken again by turning, zooming, shifting, tilting, re-lighting and re-compressing it. A real second photograph has
another focus, other reflections and other hairs besides, so the recalls are upper bounds.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.measuring import command_line, markdown
from components.ingest import fingerprint

Pictures = npt.NDArray[np.uint8]
Features = npt.NDArray[np.float32]

BLOCK: Final = 2048
SAFE: Final = 0.97  # with the features of four turns
HASH_LIMIT: Final = 40  # IngestConfig.near_duplicate_distance
COSINES: Final = (0.99, 0.98, 0.97, 0.96, 0.95, 0.94, 0.92, 0.90, 0.85, 0.80)
# Degrees, zoom, shift (of the side), tilt (of the side), light and colour cast (of 1), blur (pixels), JPEG quality.
RETAKES: Final = {
    "turned by 90 degrees or mirrored": None,
    "taken again at once": (15, 1.10, 0.04, 0.02, 0.08, 0.03, 0.6, 85),
    "taken again another day": (180, 1.35, 0.10, 0.06, 0.20, 0.10, 1.0, 70),
}


def main() -> None:
    """Measure and print one table a descriptor."""
    parser = command_line(__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--lesions", type=int, default=400, help="how many are taken again, each way")
    parser.add_argument("--side", type=int, default=160, help="pixels the network is shown")
    parser.add_argument(
        "--turns", type=int, nargs="*", default=(1, 4), help="quarter turns whose features are added"
    )
    parser.add_argument(
        "--pairs", type=Path, help=f"write the pairs of cosine {SAFE} and more, for `ingest --same-lesion`"
    )
    arguments = parser.parse_args()
    with (arguments.folder / "metadata.csv").open(newline="") as file:
        names = [row["image_name"] for row in csv.DictReader(file)]
    pictures = np.stack(
        [np.asarray(Image.open(arguments.folder / "images" / f"{name}.jpg").convert("RGB")) for name in names]
    )
    rng = np.random.default_rng(2020)
    chosen = rng.choice(len(pictures), arguments.lesions, replace=False)
    retaken = {
        name: np.stack([_retake(pictures[index], how, rng) for index in chosen])
        for name, how in RETAKES.items()
    }
    hashes = _hashes(pictures)
    away = {name: np.bitwise_count(_hashes(again) ^ hashes[chosen]).sum(1) for name, again in retaken.items()}
    rows = []
    for limit in (HASH_LIMIT, 48, 56, 64):
        pairs = fingerprint.near_pairs(hashes, limit)
        recalls = {name: float(np.mean(bits <= limit)) for name, bits in away.items()}
        rows.append((f"hash, {limit} bits", len(pairs), len(np.unique(pairs)), recalls))
    look = _network(arguments.side)
    for views in arguments.turns:
        title = "features" if views == 1 else f"features of {views} turns"
        own = _features(look, pictures, views)
        cosines = {
            name: np.einsum("nc,nc->n", _features(look, again, views), own[chosen])
            for name, again in retaken.items()
        }
        counts, touched, alike = _false_joins(own)
        for cosine in COSINES:
            recalls = {name: float(np.mean(found >= cosine)) for name, found in cosines.items()}
            rows.append((f"{title}, cosine {cosine}", counts[cosine], touched[cosine], recalls))
    if arguments.pairs:
        lines = [f"{names[i]},{names[j]}\n" for i, j in alike]
        arguments.pairs.write_text("image_1,image_2\n" + "".join(lines))
    count = len(pictures)
    print(f"{count} lesions, {count * (count - 1) // 2:,} pairs of different ones\n")
    cells = [
        (title, f"{joins:,}", f"{images:,}", *(f"{recalls[name]:.1%}" for name in RETAKES))
        for title, joins, images, recalls in rows
    ]
    print(markdown(("descriptor", "false joins", "pictures in them", *RETAKES), cells))


def _retake(picture: Pictures, how: tuple[float, ...] | None, rng: np.random.Generator) -> Pictures:
    """Return a second photograph of the lesion in ``picture``, uint8 RGB of the same size."""
    if how is None:
        return np.ascontiguousarray(np.rot90(picture[:, :: rng.choice((-1, 1))], int(rng.integers(1, 4))))
    degrees, zoom, shift, tilt, light, cast, blur, quality = how
    side = len(picture)
    corners = np.asarray([(0, 0), (side, 0), (side, side), (0, side)], np.float32)
    turn, scale = np.deg2rad(rng.uniform(-degrees, degrees)), zoom ** rng.uniform(-1, 1)
    matrix = scale * np.asarray([(np.cos(turn), -np.sin(turn)), (np.sin(turn), np.cos(turn))])
    moved = (corners - side / 2) @ matrix.T + side / 2 + rng.uniform(-shift, shift, 2) * side
    moved += rng.uniform(-tilt, tilt, (4, 2)) * side
    warp = cv2.getPerspectiveTransform(corners, moved.astype(np.float32))
    seen = cv2.warpPerspective(
        picture, warp, (side, side), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT_101
    )
    seen = cv2.GaussianBlur(seen, (0, 0), rng.uniform(0.2, blur)).astype(np.float32)
    seen = seen * (1 + rng.uniform(-light, light) + rng.uniform(-cast, cast, 3))
    stream = io.BytesIO()
    Image.fromarray(seen.clip(0, 255).astype(np.uint8)).save(stream, "JPEG", quality=int(quality))
    return np.asarray(Image.open(stream).convert("RGB"))


def _hashes(pictures: Pictures) -> Pictures:
    grey = [
        np.asarray(
            Image.fromarray(one)
            .convert("L")
            .resize((fingerprint.SIDE, fingerprint.SIDE), Image.Resampling.BILINEAR)
        )
        for one in pictures
    ]
    return fingerprint.of(np.stack(grey))


def _network(side: int) -> Callable[[Pictures], Features]:
    # Imported here because the options are checked first.
    from components.trainer.model.backbones import registry
    from studies.frozen_features import FeatureExtractor

    return FeatureExtractor.pooled(registry.build("efficientnet_lite0", size=side), side)


def _features(look: Callable[[Pictures], Features], pictures: Pictures, views: int) -> Features:
    """Return unit vectors, [n, channels]: means over so many quarter turns."""
    total = sum(look(np.rot90(pictures, turn, (1, 2))) for turn in range(views))
    vectors = np.asarray(total, np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def _false_joins(vectors: Features) -> tuple[dict[float, int], dict[float, int], list[tuple[int, int]]]:
    """Count pairs of different lesions at or above each cosine, and the pictures in them; list those at ``SAFE``."""
    alike: list[tuple[int, int]] = []
    counts = dict.fromkeys(COSINES, 0)
    touched: dict[float, set[int]] = {limit: set() for limit in COSINES}
    for top in range(0, len(vectors), BLOCK):
        for left in range(top, len(vectors), BLOCK):
            i, j = np.nonzero(
                (products := vectors[top : top + BLOCK] @ vectors[left : left + BLOCK].T) >= min(COSINES)
            )
            values, i, j = products[i, j], i + top, j + left
            for limit in COSINES:
                chosen = (values >= limit) & (i < j)
                counts[limit] += int(chosen.sum())
                if limit == SAFE:
                    alike += zip(i[chosen].tolist(), j[chosen].tolist(), strict=True)
                touched[limit].update(i[chosen].tolist(), j[chosen].tolist())
    return counts, {limit: len(images) for limit, images in touched.items()}, alike


if __name__ == "__main__":
    main()

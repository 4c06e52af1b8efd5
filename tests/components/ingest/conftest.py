from __future__ import annotations

import csv
import functools
import io
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from components.ingest.config import IngestConfig, Source

Photo = Callable[..., Image.Image]
Encode = Callable[..., bytes]


@pytest.fixture(scope="session")
def photo() -> Photo:
    """A picture with structure: photo(seed, width, height)."""

    def make(seed: int = 0, width: int = 96, height: int = 80) -> Image.Image:
        rng = np.random.default_rng(seed)
        picture = np.full((height, width, 3), 120.0)
        # Like a photograph it has detail of every grain, the finer the weaker.
        for cells, strength in ((5, 45), (11, 25), (23, 14), (47, 8)):
            coarse = Image.fromarray(rng.integers(0, 255, (cells, cells, 3), dtype=np.uint8))
            fine = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), float)
            picture += strength * (fine - 127) / 127
        return Image.fromarray(picture.clip(0, 255).astype(np.uint8))

    return make


@pytest.fixture(scope="session")
def encode() -> Encode:
    """encode(image, format, **options) -> bytes."""

    def encoded(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        return buffer.getvalue()

    return encoded


@pytest.fixture(scope="session")
def photo_file(photo: Photo, encode: Encode) -> Callable[[int], bytes]:
    """The JPEG of a seed; drawn once, as many tests ask for the same."""
    return functools.cache(lambda seed: encode(photo(seed), quality=90))


@pytest.fixture
def table(tmp_path: Path, photo_file: Callable[[int], bytes]) -> Callable[..., Source]:
    """table(rows, name, kind) writes a csv with images beside it and returns the source."""

    def write(
        rows: Sequence[Mapping[str, object]], name: str = "set", kind: str = "csv", column: str = "image_name"
    ) -> Source:
        folder = tmp_path / name
        (folder / "images").mkdir(parents=True)
        with (folder / "metadata.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, dict.fromkeys(key for row in rows for key in row))
            writer.writeheader()
            writer.writerows(rows)
        for index, row in enumerate(rows):
            path = folder / "images" / f"{row[column]}.jpg"
            path.write_bytes(photo_file(zlib.crc32(name.encode()) % 10_000 * 1000 + index))
        return Source.model_validate({"kind": kind, "path": folder / "metadata.csv"})

    return write


@pytest.fixture
def config() -> Callable[..., IngestConfig]:
    """config(*sources, **values): decodes in this process, because a test has few images."""

    def make(*sources: Source, **values: Any) -> IngestConfig:
        return IngestConfig.model_validate({"sources": sources, "decoders": 0, **values})

    return make


@pytest.fixture(scope="session")
def png_header() -> Callable[[int, int], bytes]:
    """A PNG that announces a size and holds a few bytes of nothing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    def make(width: int, height: int) -> bytes:
        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        data = zlib.compress(b"\0" * 1000)
        return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")

    return make


@pytest.fixture(scope="session")
def hostile(
    photo: Photo, encode: Encode, png_header: Callable[[int, int], bytes]
) -> Callable[[int], list[Any]]:
    """hostile(seed): (what, file ending, bytes, the reason it is refused for or "" if it is usable)."""

    def make(seed: int) -> list[tuple[str, str, bytes, str]]:
        image = photo(10_000 + seed)
        jpeg = encode(image, quality=90)
        # Different pictures for each, or they would be near-copies of one another.
        others = iter(photo(20_000 + 50 * seed + index) for index in range(50))
        deep = np.asarray(next(others).convert("L"), np.uint16) * 257
        exif = Image.Exif()
        exif[0x0112] = 1 + seed % 8
        frames = [next(others) for _ in range(3)]
        return [
            ("empty", ".jpg", b"", "empty"),
            ("text", ".jpg", f"Dear doctor, number {seed}\n".encode() * 20, "not_an_image"),
            ("html", ".png", b"<!doctype html><html>404</html>", "not_an_image"),
            (
                "script",
                ".jpg",
                b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n",
                "not_an_image",
            ),
            ("svg", ".png", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not_an_image"),
            ("zeros", ".jpg", bytes(5000 + seed), "not_an_image"),
            ("noise", ".png", np.random.default_rng(seed).bytes(4000), "not_an_image"),
            ("half", ".jpg", jpeg[: len(jpeg) // 2], "truncated"),
            ("no-end", ".jpg", jpeg[:-2], "truncated"),
            ("header-only", ".jpg", jpeg[:200], "*"),
            ("half-png", ".png", encode(next(others), "PNG")[:3000], "truncated"),
            ("bomb", ".png", png_header(30_000, 30_000), "too_many_pixels"),
            ("large-header", ".png", png_header(9_000, 9_000 + seed), "too_many_pixels"),
            ("lying-header", ".png", png_header(500, 500), "*"),
            ("tiny", ".jpg", encode(next(others).resize((20, 20))), "wrong_size"),
            ("strip", ".jpg", encode(next(others).resize((2000, 60))), "wrong_size"),
            (
                "animated",
                ".gif",
                encode(frames[0], "GIF", save_all=True, append_images=frames[1:]),
                "animated",
            ),
            ("blank", ".jpg", encode(Image.new("RGB", (90, 90), (seed, 0, 90))), "blank"),
            ("float", ".tif", encode(Image.fromarray(deep.astype(np.float32)), "TIFF"), "unsupported"),
            ("cmyk", ".jpg", encode(next(others).convert("CMYK")), ""),
            ("deep", ".png", encode(Image.fromarray(deep), "PNG"), ""),
            ("turned", ".jpg", encode(next(others), exif=exif), ""),
            ("palette", ".png", encode(next(others).convert("P"), "PNG"), ""),
            ("clear", ".png", encode(next(others).convert("RGBA"), "PNG"), ""),
            ("still", ".gif", encode(next(others), "GIF"), ""),
            ("grey", ".jpg", encode(next(others).convert("L")), ""),
            ("progressive", ".jpg", encode(next(others), progressive=True), ""),
            ("webp", ".webp", encode(next(others), "WEBP"), ""),
            ("bmp", ".bmp", encode(next(others), "BMP"), ""),
        ]

    return make


@pytest.fixture
def images(tmp_path: Path) -> Callable[..., None]:
    """images(folder, *names) writes pictures into a folder below tmp_path."""

    def make(folder: str, *names: str) -> None:
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        for name in names:
            Image.new("RGB", (60, 60)).save(tmp_path / folder / name)

    return make

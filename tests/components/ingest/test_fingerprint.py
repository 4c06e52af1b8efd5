from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from components.ingest import fingerprint, picture
from components.ingest.check import CheckJob, check
from components.ingest.config import IngestConfig
from components.ingest.picture import Limits

LIMITS = Limits(10_000_000, 50_000_000, 48, None, 95)


def _hash(data: bytes) -> bytes:
    grey = np.frombuffer(picture.check(data, LIMITS).grey, np.uint8)
    return fingerprint.of(grey.reshape(1, fingerprint.SIDE, fingerprint.SIDE))[0].tobytes()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 60), limit=st.integers(0, 56))
def test_near_pairs_are_those_a_plain_loop_finds(seed: int, count: int, limit: int) -> None:
    rng = np.random.default_rng(seed)
    centres = rng.integers(0, 256, (4, fingerprint.BYTES), dtype=np.uint8)
    flips = (rng.random((count, fingerprint.BITS)) < rng.uniform(0, 0.2)).astype(np.uint8)
    hashes = centres[rng.integers(0, 4, count)] ^ np.packbits(flips, axis=1)
    found = {
        tuple(pair) for pair in fingerprint.near_pairs(hashes.reshape(-1, fingerprint.BYTES), limit).tolist()
    }
    distinct = {}
    for index, one in enumerate(hashes):
        distinct.setdefault(one.tobytes(), index)
    firsts = sorted(distinct.values())
    for place, i in enumerate(firsts):
        for j in firsts[place + 1 :]:
            near = fingerprint.distance(hashes[i].tobytes(), hashes[j].tobytes()) <= limit
            assert ((i, j) in found) == near
    # Equal hashes hang together in a chain.
    equal = [pair for pair in found if hashes[pair[0]].tobytes() == hashes[pair[1]].tobytes()]
    assert len(equal) == count - len(firsts)


def test_a_thousand_copies_are_a_thousand_pairs() -> None:
    same = np.full((1000, fingerprint.BYTES), 7, np.uint8)
    assert len(fingerprint.near_pairs(same, 40)) == 999


def test_blocks_meet_at_their_edges(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    hashes = rng.integers(0, 256, (300, fingerprint.BYTES), dtype=np.uint8)
    hashes[250] = hashes[3] ^ np.eye(1, fingerprint.BYTES, dtype=np.uint8)[0]
    whole = fingerprint.near_pairs(hashes, 40)
    monkeypatch.setattr(fingerprint, "_BLOCK", 64)
    assert fingerprint.near_pairs(hashes, 40).tolist() == whole.tolist() == [[3, 250]]


@pytest.mark.parametrize("seed", range(5))
def test_a_changed_copy_stays_near(
    seed: int, photo: Callable[..., Image.Image], encode: Callable[..., bytes]
) -> None:
    limit = IngestConfig.model_fields["near_duplicate_distance"].default
    image = photo(seed, 224, 200)
    original = _hash(encode(image, quality=95))
    copies = {
        "compressed": encode(image, quality=40),
        "smaller": encode(image.resize((120, 107)), quality=90),
        "larger": encode(image.resize((600, 536)), quality=90),
        "squeezed": encode(image.resize((224, 224)), quality=90),
        "brighter": encode(ImageEnhance.Brightness(image).enhance(1.1), quality=90),
        "grey": encode(image.convert("L"), quality=90),
        "png": encode(image, "PNG"),
    }
    for what, copy in copies.items():
        assert fingerprint.distance(original, _hash(copy)) <= limit, what
    assert fingerprint.distance(original, _hash(encode(photo(seed + 100, 224, 200)))) > limit


@pytest.mark.real_data
def test_different_lesions_are_no_copies_and_copies_are_found(ham10000: Path) -> None:
    limit = IngestConfig.model_fields["near_duplicate_distance"].default
    files = sorted((ham10000 / "images").glob("*.jpg"))[::2]
    outcomes = check(CheckJob(tuple(enumerate(map(str, files))), LIMITS, "/nonexistent"))
    assert not any(outcome.reason for outcome in outcomes)
    hashes = np.stack([np.frombuffer(bytes.fromhex(outcome.fingerprint), np.uint8) for outcome in outcomes])
    assert len(fingerprint.near_pairs(hashes, limit)) <= 1
    found = 0
    for index in range(0, len(files), 50):
        with Image.open(files[index]) as image:
            width, height = image.size
            cropped = image.crop((2, 2, width - 2, height - 2)).resize((300, 225))
        buffer = io.BytesIO()
        cropped.save(buffer, "JPEG", quality=80)
        found += fingerprint.distance(hashes[index].tobytes(), _hash(buffer.getvalue())) <= limit
    assert found >= 0.95 * len(range(0, len(files), 50))

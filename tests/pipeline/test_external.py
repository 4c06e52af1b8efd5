from pathlib import Path

import numpy as np
import pytest

from components.ingest import fingerprint
from components.ingest.dealt import Dealt
from core.errors import UsageError
from pipeline import external


def dealt(name: str, print_: bytes, sha: str = "") -> Dealt:
    return Dealt(
        sha256=sha or name * 8, fingerprint=print_.hex(), target=0, diagnosis="", group=name, split="train", span=1,
        ties=(), digest="", name=name, source="s",
    )  # fmt: skip


def prints(count: int, seed: int) -> list[bytes]:
    random = np.random.default_rng(seed)
    return [row.tobytes() for row in random.integers(0, 256, (count, fingerprint.BYTES), np.uint8)]


def test_copies_and_near_copies_of_ours_are_found_and_nothing_else():
    ours, others = prints(20, 1), prints(20, 2)
    near = bytes([ours[3][0] ^ 0b101, *ours[3][1:]])
    theirs = [
        dealt("same_file", others[0], sha="x" * 64),
        dealt("same_pixels", ours[1]),
        dealt("again", ours[1]),
        dealt("near", near),
        *(dealt(f"new{n}", one) for n, one in enumerate(others[1:])),
    ]
    own = [
        *(dealt(f"own{n}", one) for n, one in enumerate(ours)),
        dealt("own", prints(1, 3)[0], sha="x" * 64),
    ]
    assert external.copied(theirs, own, 20) == {"same_file", "same_pixels", "again", "near"}


@pytest.mark.parametrize("text", ["isic2017", "isic2017:", ":data", "Isic 2017:data"])
def test_what_is_not_a_name_and_a_path_is_a_sentence(text: str):
    with pytest.raises(UsageError, match="--external"):
        external.parse(text)


def test_a_path_may_hold_a_colon():
    assert external.parse("clinic:C:/data").path == "C:/data"


def test_data_of_an_earlier_version_is_to_be_ingested_again(tmp_path: Path):
    with pytest.raises(UsageError, match="ingest it again"):
        external._dealt(tmp_path, "external clinic")

from __future__ import annotations

import hashlib
import random
from typing import Any

import pytest

from components.ingest import fingerprint
from components.ingest.check import Outcome
from components.ingest.copies import Checked, keys, resolve
from components.ingest.dealt import Dealt
from components.ingest.errors import IngestError
from components.ingest.row import Row, pseudonym

FAR = 10**30


def _checked(
    name: str, target: int = 0, look: int | None = None, content: str = "", **values: Any
) -> Checked:
    """An image: the same ``look`` is the same picture, one more a bit further; the same content the same bytes."""
    patient, lesion = values.get("patient"), values.get("lesion")
    row = Row(
        source=values.get("source", "s"),
        line=2,
        image_name=name,
        file=f"/{name}.jpg",
        patient=patient and pseudonym("s", "patient", patient),
        lesion=lesion and pseudonym("s", "lesion", lesion),
        target=target,
        diagnosis=None,
        age=None,
        sex=None,
        site=None,
    )
    digest = hashlib.sha256((content or name).encode()).hexdigest()
    shape = (
        hashlib.sha256(name.encode()).digest() if look is None else look.to_bytes(fingerprint.BYTES, "big")
    )
    return row, Outcome(0, sha256=digest, written_sha256=digest, fingerprint=shape.hex())


def _groups(*checked: Checked, limit: int = 4) -> dict[str, str]:
    return {row.image_name: group for row, _, group in resolve(checked, limit).kept}


def test_a_group_is_the_patient_else_the_lesion_else_the_image() -> None:
    groups = _groups(
        _checked("a", patient="p"),
        _checked("b", patient="p", lesion="l"),
        _checked("c", lesion="l"),
        _checked("d", lesion="m"),
        _checked("e"),
        _checked("f"),
    )
    # b ties the lesion to the patient, so c belongs to the patient, too.
    assert groups["a"] == groups["b"] == groups["c"]
    assert len({groups[name] for name in "adef"}) == 4
    assert all(len(group) == 20 for group in groups.values())


def test_of_identical_files_one_is_kept_and_their_patients_stay_together() -> None:
    first, copy = _checked("a", patient="p", content="x"), _checked("b", patient="q", content="x")
    resolved = resolve([copy, first, _checked("c", patient="q")], 4)
    assert [row.image_name for row, _, _ in resolved.kept] == ["a", "c"]
    assert [(refusal.image_name, refusal.reason) for refusal in resolved.refusals] == [("b", "duplicate")]
    assert "s/a" in resolved.refusals[0].detail
    assert len({group for _, _, group in resolved.kept}) == 1


def test_near_copies_are_kept_in_one_group() -> None:
    resolved = resolve(
        [_checked("a", look=0), _checked("b", look=3), _checked("c", look=63), _checked("d")], 4
    )
    groups = {row.image_name: group for row, _, group in resolved.kept}
    # a and b are 2 bits apart, b and c 4, a and c 6: a chain.
    assert groups["a"] == groups["b"] == groups["c"] != groups["d"]
    assert (resolved.near_pairs, resolved.near_images) == (2, 3)
    assert not resolved.refusals


def test_contradictions_are_refused_on_both_sides() -> None:
    resolved = resolve(
        [
            _checked("a", 0, content="x"),
            _checked("b", 1, content="x"),
            _checked("c", 0, look=0),
            _checked("d", 1, look=1),
            _checked("e", 1, look=FAR),
        ],
        4,
    )
    assert [row.image_name for row, _, _ in resolved.kept] == ["e"]
    assert {(refusal.image_name, refusal.reason) for refusal in resolved.refusals} == {
        (name, "label_conflict") for name in "abcd"
    }
    assert any("1 of 256 bits differ" in refusal.detail for refusal in resolved.refusals)


def test_the_order_of_the_rows_changes_nothing() -> None:
    images = [
        _checked(
            f"i{n}",
            n % 2,
            look=None if n % 3 else (n // 30 << 40) + n % 2,
            content=f"c{n // 2 * 2}" * (n < 6),
        )
        for n in range(60)
    ]
    images += [_checked(f"p{n}", patient=f"p{n % 7}", lesion=f"l{n % 5}") for n in range(20)]
    expected = resolve(images, 4)
    for seed in range(5):
        shuffled = images[:]
        random.Random(seed).shuffle(shuffled)
        again = resolve(shuffled, 4)
        assert again.kept == expected.kept
        assert sorted(again.refusals, key=str) == sorted(expected.refusals, key=str)


def test_no_images_at_all() -> None:
    assert resolve([], 40).kept == []


def _dealt(checked: Checked, split: str) -> Dealt:
    row, outcome = checked
    return Dealt(
        sha256=outcome.sha256,
        fingerprint=outcome.fingerprint,
        target=row.target,
        diagnosis="",
        group=row.image_name,
        split=split,
        span=1,
        ties=keys(row, outcome),
        digest="",
        name=row.image_name,
        source="s",
    )


def test_a_pair_of_one_lesion_that_was_divided_before_keeps_the_image_that_is_tested() -> None:
    images = [_checked(name) for name in "abc"]
    before = [_dealt(one, split) for one, split in zip(images, ("test", "train", "eval"), strict=True)]
    found = resolve(images, 4, before=before, same_lesion=[("a", "b")])
    assert [row.image_name for row, _, _ in found.kept] == ["a", "c"]
    assert [(one.image_name, one.reason) for one in found.refusals] == [("b", "between_splits")]
    assert (
        found.refusals[0].detail == "it shows one lesion with another image, and they lie in train and test"
    )
    # A span is not written again, so nothing can be refused in it.
    with pytest.raises(IngestError, match="two images of one lesion lie in train and test of earlier spans"):
        resolve([_checked("d")], 4, before=before, adding=True, same_lesion=[("b", "a")])

"""Network, random changes, the one region, scores and pairs, each by itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from pydantic import ValidationError

from components.ingest.errors import IngestError
from studies.segmentation import augment, measured, pairs, region, unet
from studies.segmentation.config import STUDY, PairsAugmentationConfig, SegmentationConfig
from studies.segmentation.pairs import Loaded


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_the_mask_is_as_large_as_the_picture_at_any_depth(depth: int) -> None:
    model = unet.build(SegmentationConfig(height=32, width=48, depth=depth, filters=2))
    assert model.output_shape == (None, 32, 48)


def test_the_study_s_input_is_64_by_80() -> None:
    assert unet.build(STUDY).input_shape == (None, 64, 80, 3)


def test_a_size_that_cannot_be_halved_so_often_says_what_would_do() -> None:
    with pytest.raises(ValidationError, match=r"must be a multiple of 16, e\.g\. 96"):
        SegmentationConfig(height=100, depth=4)
    with pytest.raises(ValidationError, match="views=3"):
        SegmentationConfig(views=3)


def test_the_light_and_the_white_balance_of_the_camera_drop_out() -> None:
    pixels = tf.random.stateless_uniform([2, 16, 16, 3], [1, 2], 40.0, 110.0)
    warm = pixels * tf.constant([1.6, 1.2, 0.9]) + 20.0
    np.testing.assert_allclose(unet.prepare(warm), unet.prepare(pixels), atol=0.35)


def test_picture_and_mask_are_moved_together(loaded: Loaded) -> None:
    still = PairsAugmentationConfig(
        gain=0, gamma=0, contrast=0, saturation=0, light=0, blur=0, noise=0, hair=0, tube=0
    )
    pixels, lesion = augment.augment(loaded.pictures, loaded.masks, tf.constant([3, 100], tf.int64), still)
    assert pixels.shape == (24, 32, 48, 3)
    assert set(np.unique(lesion)) <= {0.0, 1.0}
    assert np.abs(lesion.numpy() - loaded.masks / 255).mean() > 0.05  # something moved
    for picture, mask in zip(pixels.numpy(), lesion.numpy() > 0, strict=True):
        if mask.any() and not mask.all():
            assert picture[mask].mean() < picture[~mask].mean() - 30  # the lesion is still the dark part


def test_the_same_seed_gives_the_same_changes(loaded: Loaded) -> None:
    first, again, other = (
        augment.augment(
            loaded.pictures, loaded.masks, tf.constant([3, seed], tf.int64), PairsAugmentationConfig()
        )[0]
        for seed in (0, 0, 100)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).mean() > 5
    assert float(tf.reduce_min(first)) >= 0
    assert float(tf.reduce_max(first)) <= 255


def blobs() -> np.ndarray:
    """A ring in the middle (a region with a hole), and a larger blob in the corner."""
    ys, xs = np.mgrid[:40, :40]
    field = np.full((40, 40), 0.1, np.float32)
    away = np.hypot(ys - 20, xs - 20)
    field[(away < 9) & (away > 4)] = 0.9
    field[:9, :9] = 0.6
    return field


@pytest.mark.parametrize("in_graph", [True, False])
def test_the_region_in_the_middle_is_kept_and_filled(in_graph: bool) -> None:
    find = tf.function(region.one_region) if in_graph else region.one_region
    found = find(tf.constant(blobs()[None]), tf.constant(0.5)).numpy()[0] >= 0.5
    ys, xs = np.mgrid[:40, :40]
    np.testing.assert_array_equal(found, np.hypot(ys - 20, xs - 20) < 9)


def test_pictures_of_a_batch_do_not_disturb_each_other() -> None:
    one, other = blobs(), np.roll(blobs(), 5, axis=1)
    together = region.one_region(tf.constant(np.stack([one, other])), 0.5).numpy()
    for row, alone in enumerate((one, other)):
        np.testing.assert_array_equal(
            together[row], region.one_region(tf.constant(alone[None]), 0.5).numpy()[0]
        )


def test_a_faint_lesion_still_has_a_mask() -> None:
    found = region.one_region(tf.constant(blobs()[None] * 0.2), 0.5).numpy()[0] >= 0.5
    assert 0.05 < found.mean() < 0.5


@pytest.mark.parametrize(("threshold", "reach"), [(0.4, 9), (0.7, 5)])
def test_a_threshold_above_one_half_counts_too(threshold: float, reach: int) -> None:
    ys, xs = np.mgrid[:40, :40]
    away = np.hypot(ys - 20, xs - 20)
    field = np.where(away < 5, 0.9, np.where(away < 9, 0.5, 0.1)).astype(np.float32)
    found = region.one_region(tf.constant(field[None]), threshold).numpy()[0] >= threshold
    np.testing.assert_array_equal(found, away < reach)


def test_a_long_winding_region_stays_one() -> None:
    field = np.zeros((32, 32), np.float32)
    for row in range(0, 32, 4):
        field[row, :] = 0.9
        field[row : row + 4, 31 if (row // 4) % 2 else 0] = 0.9
    found = region.one_region(tf.constant(field[None]), 0.5).numpy()[0] >= 0.5
    assert found[field > 0.5].all()


def test_jaccard_and_dice_are_what_they_are_called() -> None:
    one, other = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    one[:2], other[1:3] = True, True
    assert measured.jaccard(one, other) == pytest.approx(4 / 12)
    assert measured.dice(one, other) == pytest.approx(8 / 16)
    assert measured.jaccard(one & False, other & False) == 1.0


def test_the_loss_falls_as_the_mask_gets_better() -> None:
    truth = tf.constant((blobs() > 0.8).astype(np.float32)[None])
    for share in (0.0, 0.5, 1.0):
        values = [float(measured.loss((truth * 2 - 1) * sign, truth, share)) for sign in (-4.0, 0.5, 4.0)]
        assert values[0] > values[1] > values[2]


def test_the_gate_says_which_number_failed() -> None:
    found = [
        measured.Score(f"p{i}", 0.9 if i else 0.05, 0.95 if i else 0.1, 0.2, 0.2, 0.9) for i in range(20)
    ]
    good = measured.judge(found, SegmentationConfig(min_worst_tenth=0.3))
    assert good.passed
    bad = measured.judge(found, SegmentationConfig(min_jaccard=0.9, min_worst_tenth=0.6))
    assert [check.slice for check in bad.refusals] == ["overall", "worst tenth"]
    assert "the worst is p0" in bad.refusals[1].sentence()
    assert [check.sentence().rpartition("the limit is ")[2] for check in bad.refusals] == [
        "min_jaccard",
        "min_worst_tenth",
    ]


def test_pairs_are_found_split_and_read_back(folder: Path, tmp_path: Path) -> None:
    found = pairs.find(folder)
    assert len(found) == 40
    split = pairs.split(found, 1)
    assert {name: len(members) for name, members in split.items()} == {"train": 30, "eval": 4, "test": 6}
    assert {pair.target for pair in split["test"]} == {0, 1}
    first, again, other = (
        pairs.write(found, tmp_path / name, seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert first == again != other
    rows = list(pairs.records([str(tmp_path / "a" / "test" / "data-00000-of-00001.tfrecord.gz")]))
    named = {pair.name: pair for pair in found}
    for row in rows:
        truth = np.asarray(Image.open(named[row["image_name"].decode()].mask).convert("L")) > 0
        np.testing.assert_array_equal(pairs.mask_of(row["mask"]), truth)
        assert row["image"] == named[row["image_name"].decode()].image.read_bytes()


def test_a_mask_of_another_size_is_refused(folder: Path, tmp_path: Path) -> None:
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    picture = (folder / "images" / "p01.jpg").read_bytes()
    for number in range(30):
        (tmp_path / "images" / f"p{number}.jpg").write_bytes(picture)
        Image.fromarray(np.ones((10, 10), np.uint8) * 255).save(tmp_path / "masks" / f"p{number}.png")
    with pytest.raises(IngestError, match=r"is \(10, 10\), its picture \(48, 64\)"):
        pairs.write(pairs.find(tmp_path), tmp_path / "out", 1)


def test_a_pair_without_a_label_is_unknown_and_one_with_a_wrong_one_is_named(tmp_path: Path) -> None:
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
        for number in range(2):
            Image.fromarray(np.full((8, 8), 255, np.uint8)).save(tmp_path / name / f"p{number}.png")
    table = tmp_path / "pairs.csv"
    table.write_text("image_name,target\np0,1\np1,\n")
    assert [pair.target for pair in pairs.find(tmp_path)] == [1, pairs.UNKNOWN]
    table.write_text("image_name,target\np0,1\np1,melanoma\n")
    with pytest.raises(IngestError, match="p1 has target 'melanoma'; give 1 for melanoma"):
        pairs.find(tmp_path)


def test_a_folder_without_masks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IngestError, match="no folder images/"):
        pairs.find(tmp_path)


def test_a_jpeg_s_ringing_is_no_lesion(tmp_path: Path) -> None:
    mask = np.zeros((64, 64), np.uint8)
    mask[20:40, 20:40] = 255
    jpeg = tf.io.encode_jpeg(mask[..., None], quality=60).numpy()
    assert (tf.io.decode_jpeg(jpeg).numpy() > 0).sum() > 400
    assert abs(int(pairs.mask_of(jpeg).sum()) - 400) <= 4
    dark = tf.io.encode_png((mask // 255)[..., None]).numpy()
    assert pairs.mask_of(dark).sum() == 400


def test_pairs_that_did_not_change_are_left_alone(folder: Path, tmp_path: Path) -> None:
    found = pairs.find(folder)
    version = pairs.write(found, tmp_path, 3)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.gz")}
    assert pairs.write(found, tmp_path, 3) == version
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.gz*")} == before
    (tmp_path / ".part-killed").mkdir()
    (tmp_path / ".part-killed" / "train").write_bytes(b"half")
    assert pairs.write(found, tmp_path, 4) != version
    assert not list(tmp_path.rglob(".part*"))

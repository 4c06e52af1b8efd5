"""What is measured of a picture, on pictures whose answer is known."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from studies.baselines import figures
from studies.baselines.lesion import hair_mask, segment, without_hair

SIDE = 160


def disc(radius: float = 40, squeeze: float = 1.0, at: tuple[int, int] = (80, 80)) -> np.ndarray:
    ys, xs = np.ogrid[:SIDE, :SIDE]
    return ((xs - at[0]) / squeeze) ** 2 + (ys - at[1]) ** 2 <= radius**2


def picture(lesion: np.ndarray, dark: tuple[int, int, int] = (90, 50, 40)) -> np.ndarray:
    pixels = np.full((SIDE, SIDE, 3), (225, 180, 165), np.uint8)
    pixels[lesion] = dark
    return pixels


def encoded(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def jaccard(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


@pytest.mark.parametrize("at", [(80, 80), (60, 95)])
def test_otsu_finds_the_lesion(at):
    lesion = disc(35, at=at)
    assert jaccard(segment(picture(lesion)), lesion) > 0.93


def test_otsu_does_not_take_the_tube_s_black_corners():
    pixels = picture(disc(30))
    ys, xs = np.ogrid[:SIDE, :SIDE]
    pixels[(xs - 80) ** 2 + (ys - 80) ** 2 > 95**2] = 5
    assert jaccard(segment(pixels), disc(30)) > 0.9


def test_a_plain_picture_still_has_a_mask():
    assert 0.05 < segment(np.full((SIDE, SIDE, 3), 200, np.uint8)).mean() < 0.95


def test_hairs_are_painted_over_and_the_lesion_is_left_alone():
    lesion = disc(35)
    bare, hairy = picture(lesion), picture(lesion)
    for x in (20, 140):
        hairy[5:155, x : x + 2] = 30
    found = hair_mask(hairy)
    assert found[:, 20].mean() > 0.85
    assert found[lesion].mean() < 0.02
    assert np.abs(without_hair(hairy).astype(int) - bare).mean() < 2
    np.testing.assert_array_equal(without_hair(bare), bare)


def test_a_disc_is_symmetric_smooth_and_small_of_score():
    found = figures.abcd(picture(disc()), disc())
    assert found.a == 0
    assert found.b == 0
    assert found.compactness == pytest.approx(1.1, abs=0.15)  # pixels make a circle's border longer
    assert found.diameter == pytest.approx(0.5, abs=0.01)
    assert found.total == pytest.approx(1.3 * found.a + 0.1 * found.b + 0.5 * found.c + 0.5 * found.d)


def test_a_lopsided_lesion_is_asymmetric_and_many_coloured():
    lesion = disc(30) | disc(18, at=(118, 108))
    pixels = picture(lesion)
    pixels[70:90, 70:90] = (10, 5, 5)
    pixels[60:70, 70:90] = (200, 60, 60)
    found = figures.abcd(pixels, lesion)
    plain = figures.abcd(picture(disc(30)), disc(30))
    assert found.a > plain.a
    assert found.c > plain.c
    assert found.roughness > plain.roughness
    assert found.total > plain.total


def test_a_turned_lesion_keeps_its_asymmetry():
    lesion = disc(20, squeeze=1.8)
    turned = np.asarray(Image.fromarray(lesion).rotate(35))
    one, other = (figures.abcd(picture(mask), mask) for mask in (lesion, turned))
    assert other.asymmetry_1 == pytest.approx(one.asymmetry_1, abs=0.05)
    assert other.asymmetry_2 == pytest.approx(one.asymmetry_2, abs=0.05)


def test_texture_tells_noise_from_a_plain_surface_and_looks_inside_only():
    lesion = disc()
    plain = picture(lesion)
    rough = plain.copy()
    rough[lesion] = np.random.default_rng(0).integers(0, 120, (int(lesion.sum()), 3))
    names = dict(zip(figures.TEXTURE_NAMES, figures.texture(plain, lesion), strict=True))
    noisy = dict(zip(figures.TEXTURE_NAMES, figures.texture(rough, lesion), strict=True))
    assert names["glcm_contrast_1_mean"] == 0
    assert noisy["glcm_contrast_1_mean"] > 1
    assert noisy["glcm_energy_1_mean"] < names["glcm_energy_1_mean"]
    outside = plain.copy()
    outside[~lesion] = np.random.default_rng(0).integers(0, 255, (int((~lesion).sum()), 3))
    np.testing.assert_allclose(figures.texture(outside, lesion), figures.texture(plain, lesion))


def test_colour_sees_the_difference_from_the_skin():
    found = dict(zip(figures.COLOUR_NAMES, figures.colour(picture(disc()), disc()), strict=True))
    assert found["red_mean"] == pytest.approx(90 / 255)
    assert found["red_contrast"] == pytest.approx((90 - 225) / 255)
    assert found["red_deviation"] < 1e-9


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_bytes_become_finite_figures(kind):
    values = figures.describe(encoded(picture(disc()), kind))
    assert values.shape == (len(figures.NAMES),)
    assert values.dtype == np.float32
    assert np.isfinite(values).all()


def test_a_larger_picture_of_the_same_lesion_gives_nearly_the_same_figures():
    small = picture(disc())
    large = np.asarray(Image.fromarray(small).resize((900, 900), Image.Resampling.BICUBIC))
    one, other = (dict(zip(figures.NAMES, figures.describe(encoded(p)), strict=True)) for p in (small, large))
    for name in ("abcd_diameter", "abcd_compactness", "red_mean", "red_contrast"):
        assert other[name] == pytest.approx(one[name], rel=0.1)


def test_what_is_no_picture_is_refused():
    with pytest.raises(ValueError, match="no picture"):
        figures.describe(b"nonsense")

import io

import numpy as np
import pytest
from PIL import Image

from components.evaluator import worst
from components.evaluator.predictions import Prediction


def prediction(name: str, target: int, probability: float) -> Prediction:
    return Prediction(name, "s", target, probability, 0.5, 0.0, "nv", "male", "30-44", "trunk", "1")


def picture(width: int = 90, height: int = 60, kind: str = "PNG", mode: str = "RGB") -> bytes:
    out = io.BytesIO()
    Image.new(mode, (width, height)).save(out, kind)
    return out.getvalue()


class Explaining:
    """A model whose overlays are squares, as the trained one's are."""

    def __init__(self, explains: bool = True) -> None:
        self.explains = explains
        self.asked: list[int] = []

    def overlays(self, images):
        self.asked.append(len(images))
        return [picture(64, 64, "JPEG") for _ in images] if self.explains else []


def test_only_the_worst_errors_are_kept_and_written_in_their_order(tmp_path):
    random = np.random.default_rng(1)
    kept = worst.WorstErrors()
    answers = [prediction(f"l{n:03d}", n % 2, float(random.random())) for n in range(400)]
    for number, one in enumerate(answers):
        kept.add(one, picture(40 + number % 7, 30))
    assert len(kept._images) <= 4 * worst.SHOWN
    model = Explaining()
    kept.save(model, tmp_path)
    assert model.asked == [worst.SHOWN]
    assert len(list((tmp_path / worst.PICTURES).glob("missed_*.jpg"))) == worst.SHOWN
    assert len(list((tmp_path / worst.PICTURES).glob("false_alarm_*.jpg"))) == worst.SHOWN
    for number, one in enumerate(worst.missed(answers)[: worst.SHOWN]):
        width = 40 + int(one.image_name[1:]) % 7
        for folder in (worst.PICTURES, worst.HEAT_MAPS):
            with Image.open(tmp_path / folder / f"missed_{number:02d}.jpg") as drawn:
                assert drawn.size == (width, 30)  # side by side, both show a spot at the same place


def test_a_model_that_explains_nothing_leaves_no_heat_map(tmp_path):
    kept = worst.WorstErrors()
    kept.add(prediction("a", 1, 0.1), picture())
    kept.save(Explaining(explains=False), tmp_path)
    assert len(list((tmp_path / worst.PICTURES).iterdir())) == 1
    assert not list((tmp_path / worst.HEAT_MAPS).iterdir())


def test_right_answers_are_no_errors():
    kept = worst.WorstErrors()
    kept.add(prediction("a", 1, 0.5), picture())
    kept.add(prediction("b", 0, 0.4), picture())
    assert not kept._images


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK", "P", "RGBA", "I;16"])
def test_thumbnails_of_every_mode_are_small_rgb_jpegs_without_metadata(mode):
    small = worst.thumbnail(picture(900, 600, "JPEG" if mode == "CMYK" else "PNG", mode))
    assert small is not None
    with Image.open(io.BytesIO(small)) as drawn:
        assert (drawn.format, drawn.mode, drawn.size) == ("JPEG", "RGB", (176, 117))
        assert "exif" not in drawn.info
    assert len(small) < 10_000


@pytest.mark.parametrize("junk", [b"", b"no image", b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01"])
def test_what_is_no_image_has_no_picture(junk):
    assert worst.thumbnail(junk) is None

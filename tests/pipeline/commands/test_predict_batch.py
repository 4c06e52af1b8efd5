"""`melanosizer predict-batch`: the competition's file."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

import pytest
import tensorflow as tf
from PIL import Image
from typer.testing import CliRunner

from core.errors import RunFaultError, UsageError
from core.features import IMAGE_BYTES, PROBABILITY
from pipeline.__main__ import app

runner = CliRunner()


class Grey(tf.Module):
    """Its probability is the brightness of the picture's corner."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, IMAGE_BYTES)])
    def answer(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        def corner(data: tf.Tensor) -> tf.Tensor:
            return (
                tf.cast(tf.io.decode_image(data, channels=3, expand_animations=False)[0, 0, 0], tf.float32)
                / 255
            )

        return {PROBABILITY: tf.map_fn(corner, image_bytes, fn_output_signature=tf.float32)}


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Five greys, a broken file, a text; a model that answers them."""
    module = Grey()
    tf.saved_model.save(module, str(tmp_path / "model"), signatures={"serving_default": module.answer})
    monkeypatch.setattr("pipeline.commands.predict_batch.released_model", lambda *_: tmp_path / "model")
    monkeypatch.setattr("pipeline.commands.predict_batch.BATCH", 2)
    folder = tmp_path / "images"
    folder.mkdir()
    for number, name in enumerate(("a.png", "b.PNG", "d.png", "e.png", "f.png")):
        stream = io.BytesIO()
        Image.new("RGB", (8, 8), (51 * number,) * 3).save(stream, "PNG")
        (folder / name).write_bytes(stream.getvalue())
    (folder / "c.png").write_bytes(b"no image")
    (folder / "notes.txt").write_text("not one of them")
    return folder


def test_every_image_gets_a_row_and_a_broken_one_is_named(pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "submission.csv"
    done = runner.invoke(app, ["predict-batch", "--images", str(pictures), "--out", str(out)])
    assert done.exit_code == 2, (done.output, done.exception)
    assert "5 of 6 images answered" in done.output
    assert "not answered: c: is none of JPEG" in done.output
    assert "not an image: notes.txt: the ending '.txt' is not an image's" in done.output
    with out.open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["image_name", "target"]
    wanted = [("a", 0.0), ("b", 0.2), ("d", 0.4), ("e", 0.6), ("f", 0.8)]
    assert [(name, float(value)) for name, value in rows[1:]] == [
        (name, pytest.approx(value, abs=1e-6)) for name, value in wanted
    ]
    assert not list(tmp_path.glob(".*.partial"))


def test_a_folder_is_no_file_and_nothing_is_left_behind(pictures: Path, tmp_path: Path) -> None:
    done = runner.invoke(app, ["predict-batch", "--images", str(pictures), "--out", str(tmp_path)])
    assert isinstance(done.exception, UsageError)
    assert "is a folder; name a file" in str(done.exception)


def test_a_workspace_without_a_release_leaves_nothing_behind(
    tmp_path: Path, pictures: Path, monkeypatch
) -> None:
    def none(*_: object) -> Path:
        raise UsageError("no version was released there yet")

    monkeypatch.setattr("pipeline.commands.predict_batch.released_model", none)
    done = runner.invoke(app, ["predict-batch", "--images", str(pictures), "--out", str(tmp_path / "x.csv")])
    assert isinstance(done.exception, UsageError)
    assert not list(tmp_path.glob("*x.csv*"))


def test_every_file_of_every_kind_is_answered_or_listed(pictures: Path, tmp_path: Path) -> None:
    grey = Image.new("RGB", (64, 64), (102,) * 3)
    for number, name in enumerate(
        ("x.tif", "x.bmp", "x.gif", "x.webp", "x.avif", "x.jp2", "X.JPG", "deep/er/y.jpg")
    ):
        path = pictures / name
        path.parent.mkdir(parents=True, exist_ok=True)
        grey.save(path, quality=95 - number)
    deep = Image.new("I;16", (64, 64), 102 * 257)
    deep.save(pictures / "sixteen.png")
    turned = Image.Exif()
    turned[0x0112] = 3
    half = Image.new("RGB", (64, 64), (102,) * 3)
    half.paste((255,) * 3, (0, 0, 64, 32))
    half.save(pictures / "turned.jpg", exif=turned, quality=98)
    grey.save(pictures / "=1+1.jpg")
    grey.save(pictures / "@SUM.jpg")
    (pictures / "dangling.jpg").symlink_to(tmp_path / "absent")
    (pictures / "folder.jpg").mkdir()
    os.mkfifo(pictures / "pipe.jpg")
    (tmp_path / "elsewhere").mkdir()
    grey.save(tmp_path / "elsewhere" / "z.jpg")
    (pictures / "link").symlink_to(tmp_path / "elsewhere")
    out = tmp_path / "out.csv"
    done = runner.invoke(app, ["predict-batch", "--images", str(pictures), "--out", str(out)])
    assert done.exit_code == 2, (done.output, done.exception)
    with out.open(newline="") as file:
        rows = {name: float(value) for name, value in list(csv.reader(file))[1:]}
    same = {"x.tif", "x.bmp", "x.gif", "x.webp", "x.avif", "x.jp2", "X", "deep/er/y", "link/z", "sixteen"}
    same |= {"'=1+1", "'@SUM"}  # no formula for a spreadsheet
    assert same <= set(rows)
    assert all(rows[name] == pytest.approx(0.4, abs=0.02) for name in same)
    # As a person sees it: the dark half is on top.
    assert rows["turned"] == pytest.approx(0.4, abs=0.02)
    assert "not answered: dangling: the file does not exist" in done.output
    assert "not answered: pipe: it is not a regular file" in done.output


def test_an_output_that_cannot_be_written_is_one_sentence(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pipeline.commands.predict_batch.csv.writer", full)
    done = runner.invoke(app, ["predict-batch", "--images", str(pictures), "--out", str(tmp_path / "x.csv")])
    assert isinstance(done.exception, RunFaultError)
    assert "No space left on device" in str(done.exception)
    assert not list(tmp_path.glob("*x.csv*"))

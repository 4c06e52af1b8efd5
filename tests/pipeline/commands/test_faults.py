"""What goes wrong outside of this program is one sentence, never a traceback."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from core.errors import UsageError
from core.images.normalise import normalise
from core.workspace import Workspace
from pipeline import prerequisites
from pipeline.commands import doctor, predict


def test_a_damaged_metadata_store_is_told_before_the_first_step(tmp_path: Path) -> None:
    place = Workspace(tmp_path / "a b#c")
    place.prepare()
    prerequisites.check_metadata(place)
    place.metadata.write_bytes(b"SQLite format 3\0" + bytes(range(256)) * 40)
    with pytest.raises(UsageError, match=r"metadata.sqlite is damaged .*move it away"):
        prerequisites.check_metadata(place)


def test_the_doctor_looks_at_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: SimpleNamespace(free=2**30))
    assert "5 GiB are needed" in doctor._disk().mend
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: SimpleNamespace(free=2**40))
    assert doctor._disk().mend == ""


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

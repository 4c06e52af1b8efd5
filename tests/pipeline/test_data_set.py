from __future__ import annotations

import errno
import os
import zlib
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from components.ingest.manifest import Manifest
from core import features, tfrecord
from core.errors import UsageError
from core.workspace import Workspace
from pipeline import data_set, run
from pipeline.outcome import Outcome, served


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    for name in ("melanoma", "nevus"):
        for number in range(12):
            (folder / name).mkdir(parents=True, exist_ok=True)
            draw(folder / name / f"{name}-{number}.jpg")
    return folder


def draw(path: Path) -> None:
    coarse = np.random.default_rng(zlib.crc32(path.name.encode())).integers(0, 255, (9, 9, 3), np.uint8)
    Image.fromarray(coarse).resize((80, 80), Image.Resampling.BICUBIC).save(path, quality=90)


def state(folder: Path) -> dict[str, tuple[int, int]]:
    """What ExampleGen tells files apart by."""
    return {
        str(path.relative_to(folder)): (path.stat().st_size, int(path.stat().st_mtime))
        for path in folder.rglob("*.tfrecord.gz")
    }


def test_the_same_images_are_the_same_data(tmp_path: Path, images: Path) -> None:
    place = Workspace(tmp_path / "workspace")
    place.prepare()
    console = Console()
    first = data_set.ready(images, place, console)
    before = state(first)
    # Copied again, touched, listed in another order: the same images.
    for path in images.rglob("*.jpg"):
        os.utime(path, (1, 1))
    assert data_set.ready(images, place, console) == first
    assert state(first) == before
    draw(images / "nevus" / "one-more.jpg")
    grown = data_set.ready(images, place, console)
    assert grown != first
    assert state(first) == before, "a later ingest leaves the data of an earlier run alone"
    assert Manifest.load(grown).counts.written == 25
    (images / "nevus" / "one-more.jpg").unlink()
    assert data_set.ready(images, place, console) == first
    assert sorted(path.name for path in first.parent.iterdir()) == sorted([first.name, grown.name])


def test_what_became_of_each_name_is_told(
    tmp_path: Path, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = Workspace(tmp_path / "workspace")
    place.prepare()
    (images / "[odd]").mkdir()
    draw(images / "[odd]" / "odd.jpg")
    data_set.ready(images, place, Console())
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("labels")]
    assert line.startswith("labels (1 is melanoma): ")
    told = set(line.partition(": ")[2].split(", "))
    assert told == {"melanoma/ is 1 (12 rows)", "nevus/ is 0 (12 rows)", "[odd]/ is no_label (1 rows)"}


def test_equal_shards_have_equal_times_and_others_do_not(tmp_path: Path, images: Path) -> None:
    places = [Workspace(tmp_path / name) for name in ("a", "b")]
    for place in places:
        place.prepare()
    one, other = (data_set.ready(images, place, Console()) for place in places)
    assert state(one) == state(other)
    assert len({seconds for _, seconds in state(one).values()}) == len(state(one))


def test_a_second_run_is_refused_before_it_touches_data(tmp_path: Path, images: Path) -> None:
    from pipeline.__main__ import app

    place = Workspace(tmp_path / "workspace")
    place.prepare()
    with place.locked():
        result = CliRunner().invoke(app, ["run", "--data", str(images), "--workspace", str(place.root)])
    assert "another run is using it" in str(result.exception or result.output)
    assert not (place.root / "data").exists()


def test_what_cannot_be_ingested_is_one_sentence(tmp_path: Path) -> None:
    place = Workspace(tmp_path / "workspace")
    place.prepare()
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"--data .*empty is not a data set that ingest knows"):
        data_set.ready(tmp_path / "empty", place, Console())


def outcome(version: str, status: str = "pushed") -> Outcome:
    return Outcome.model_validate(
        {
            "run_id": "r2",
            "status": status,
            "reason": "",
            "preset": "quick",
            "data": "d",
            "data_version": "0",
            "started": datetime(2026, 11, 28, tzinfo=UTC),
            "seconds": 1.0,
            "version": version,
            "model": None,
            "metrics": None,
            "threshold": None,
            "verdicts": (),
            "steps": (),
        }
    )


def registry(stable: str, *pushed: tuple[str, str]) -> SimpleNamespace:
    return SimpleNamespace(
        events=lambda: [SimpleNamespace(version=version, who=who) for version, who in pushed],
        channels=lambda: SimpleNamespace(stable=stable),
    )


def test_a_run_names_the_version_that_is_really_served() -> None:
    fresh = served(outcome("2"), registry("2", ("1", "run r1"), ("2", "run r2")))
    assert (fresh.status, fresh.version, fresh.reason) == ("pushed", "2", "")
    cached = served(outcome("1"), registry("1", ("1", "run r1")))
    assert (cached.status, cached.version) == ("unchanged", "1")
    again = served(
        outcome("1", "unchanged"), registry("1", ("1", "run r0"), ("2", "run r1"), ("1", "run r2"))
    )
    assert (again.status, again.version, again.reason) == ("pushed", "1", "")
    rolled_back = served(outcome("2"), registry("1", ("1", "run r1"), ("2", "run r0")))
    assert (rolled_back.status, rolled_back.version) == ("unchanged", "1")
    assert rolled_back.reason == "version 2 was released before, 1 is served by a person's later decision"
    refused = outcome("2", "refused")
    assert served(refused, registry("1")) is refused


def test_a_decode_fault_names_the_file(tmp_path: Path, images: Path) -> None:
    place = Workspace(tmp_path / "workspace")
    place.prepare()
    folder = data_set.ready(images, place, Console())
    assert data_set.undecodable(folder) == []
    shard = next(iter((folder / "train").iterdir()))
    records = list(tfrecord.examples(shard))
    name = records[0][features.IMAGE_NAME][0]
    records[0][features.IMAGE] = [records[0][features.IMAGE][0][:-2] + bytes(300)]
    tfrecord.write(
        shard, [tfrecord.encode({key: values[0] for key, values in one.items()}) for one in records]
    )
    wanted = f"train/{name.decode()}"
    assert data_set.undecodable(folder) == [wanted]
    assert run._sentence(ValueError("Invalid JPEG data, size 9" + "\\xff" * 90_000), folder) == (
        f"1 images cannot be decoded: {wanted}; ingest the data again"
    )
    assert len(run._sentence(ValueError("x" * 90_000), folder)) < 700


@pytest.mark.parametrize("name", ["a?b", "a*b", "a[1]"])
def test_a_folder_whose_name_is_a_pattern_is_refused(tmp_path: Path, images: Path, name: str) -> None:
    place = Workspace(tmp_path / name)
    with pytest.raises(UsageError, match=r"--workspace .* for a pattern; rename the folder"):
        data_set.ready(images, place, Console())
    (tmp_path / "x").mkdir()
    images.rename(tmp_path / "x" / name)
    with pytest.raises(UsageError, match=r"--data .* for a pattern; rename the folder"):
        data_set.ready(tmp_path / "x" / name, Workspace(tmp_path / "plain"), Console())


def test_spans_are_taken_from_an_ingested_data_set_only(tmp_path: Path, images: Path) -> None:
    place = Workspace(tmp_path / "workspace")
    place.prepare()
    folder = data_set.ready(images, place, Console())
    some = data_set.ready(folder, place, Console(), "1")
    assert Manifest.load(some).data_version == Manifest.load(folder).data_version
    with pytest.raises(UsageError, match="has no span 2; there are 1"):
        data_set.ready(folder, place, Console(), "2")
    with pytest.raises(UsageError, match="spans are parts of an ingested data set"):
        data_set.ready(images, place, Console(), "1")


def test_a_full_disk_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from pipeline import __main__ as command

    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "workspace/runs/x")

    monkeypatch.setattr(command, "app", full)
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert "workspace/runs/x: No space left on device; mend that, then run the same command again" in said
    assert "Traceback" not in said

"""Shards are taken over: one file with two names where the file system can, else a copy, never another order."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from tfx.components.util import examples_utils
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, standard_artifacts
from tfx.utils import proto_utils

from components.example_gen import component
from core import files, tfrecord
from core.features import SPLITS
from pipeline.config import LOCAL_BEAM_ARGS

SHARDS = {"train": ([b"a", b"b"], [b"c"]), "eval": ([b"d"],), "test": ([],)}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two shards of train, one of eval, an empty one of test."""
    folder = tmp_path / "data"
    for split, parts in SHARDS.items():
        (folder / split).mkdir(parents=True)
        for index, records in enumerate(parts):
            tfrecord.write(folder / split / f"data-s001-{index:05d}-of-{len(parts):05d}.tfrecord.gz", records)
    return folder


@pytest.fixture
def no_copy_on_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system like ext4, whatever this one is."""

    def refused(*_: Any) -> None:
        raise OSError

    monkeypatch.setattr(files.fcntl, "ioctl", refused)


def _run(data: Path, out: Path) -> standard_artifacts.Examples:
    examples = standard_artifacts.Examples()
    examples.uri = str(out)
    config = example_gen_pb2.Input(
        splits=[example_gen_pb2.Input.Split(name=name, pattern=f"{name}/*.tfrecord.gz") for name in SPLITS]
    )
    context = component.Executor.Context(beam_pipeline_args=list(LOCAL_BEAM_ARGS))
    properties = {
        "input_base": str(data),
        "input_config": proto_utils.proto_to_json(config),
        "output_data_format": example_gen_pb2.FORMAT_TF_EXAMPLE,
    }
    component.Executor(context).Do({}, {"examples": [examples]}, properties)
    return examples


def _shards(data: Path) -> list[Path]:
    return [path for split in SPLITS for path in sorted((data / split).iterdir())]


def _taken(out: Path) -> list[Path]:
    return [path for split in SPLITS for path in sorted((out / f"Split-{split}").iterdir())]


def _records(out: Path) -> dict[str, list[bytes]]:
    return {
        split: [
            record for path in sorted((out / f"Split-{split}").iterdir()) for record in tfrecord.read(path)
        ]
        for split in SPLITS
    }


EXPECTED = {split: [record for part in parts for record in part] for split, parts in SHARDS.items()}


@pytest.mark.usefixtures("no_copy_on_write")
def test_a_shard_is_one_file_with_two_names(tmp_path: Path, data: Path) -> None:
    examples = _run(data, tmp_path / "out")
    pairs = list(zip(_shards(data), _taken(tmp_path / "out"), strict=True))
    assert len(pairs) == 4
    assert all(old.samefile(new) for old, new in pairs)
    assert [new.name for _, new in pairs[:2]] == [
        f"data_tfrecord-0000{number}-of-00002.gz" for number in (0, 1)
    ]
    assert sorted(artifact_utils.decode_split_names(examples.split_names)) == sorted(SPLITS)
    assert examples_utils.get_payload_format(examples) == example_gen_pb2.FORMAT_TF_EXAMPLE
    assert examples_utils.get_file_format(examples) == "tfrecords_gzip"
    # The data set may go, as an old version does: the run's examples stay.
    shutil.rmtree(data)
    assert _records(tmp_path / "out") == EXPECTED


def test_what_cannot_be_linked_is_copied_in_the_same_order(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(component, "share", lambda *_: False)
    _run(data, tmp_path / "out")
    pairs = zip(_shards(data), _taken(tmp_path / "out"), strict=True)
    assert all(old.read_bytes() == new.read_bytes() and not old.samefile(new) for old, new in pairs)
    assert _records(tmp_path / "out") == EXPECTED


@pytest.mark.usefixtures("no_copy_on_write")
def test_a_step_that_is_tried_again_writes_into_no_file_of_a_data_set(tmp_path: Path, data: Path) -> None:
    older = tmp_path / "older.tfrecord.gz"
    tfrecord.write(older, [b"of an older version"])
    (tmp_path / "out/Split-train").mkdir(parents=True)
    (tmp_path / "out/Split-train/data_tfrecord-00000-of-00002.gz").hardlink_to(older)
    _run(data, tmp_path / "out")
    assert list(tfrecord.read(older)) == [b"of an older version"]
    assert _records(tmp_path / "out") == EXPECTED


def test_a_split_without_files_is_an_error(tmp_path: Path, data: Path) -> None:
    shutil.rmtree(data / "eval")
    with pytest.raises(FileNotFoundError, match="the split eval has no file"):
        _run(data, tmp_path / "out")


@pytest.mark.usefixtures("no_copy_on_write")
def test_of_a_symbolic_link_the_file_is_shared(tmp_path: Path, data: Path) -> None:
    (tmp_path / "link").symlink_to(_shards(data)[0])
    assert files.share(tmp_path / "link", tmp_path / "new")
    assert not (tmp_path / "new").is_symlink()
    assert (tmp_path / "new").samefile(_shards(data)[0])


def test_between_two_file_systems_nothing_is_shared_and_nothing_left(tmp_path: Path, data: Path) -> None:
    here = tmp_path.stat().st_dev
    others = [one for one in map(Path, ("/dev/shm", "/tmp")) if one.is_dir() and one.stat().st_dev != here]
    if not others:
        pytest.skip("there is no second file system")
    elsewhere = others[0]
    target = elsewhere / f"melanosizer-{tmp_path.name}-{id(data)}"
    assert not files.share(_shards(data)[0], target)
    assert not target.exists()
    with pytest.raises(FileExistsError):
        files.share(_shards(data)[0], _shards(data)[1])

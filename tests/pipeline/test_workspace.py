from pathlib import Path

import pytest

from core.errors import UsageError
from pipeline.workspace import Workspace


def test_a_new_folder_becomes_a_workspace_and_stays_one(tmp_path: Path):
    place = Workspace(tmp_path / "ws")
    place.prepare()
    (place.serving / "melanoma").mkdir()
    place.prepare()
    assert place.existing() is place
    assert (place.serving / "melanoma").is_dir()


def test_a_folder_with_other_things_is_refused_and_left_alone(tmp_path: Path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UsageError, match="holds other things"):
        Workspace(tmp_path).prepare()
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_is_no_workspace(tmp_path: Path):
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(UsageError, match="is a file"):
        Workspace(path).prepare()


def test_asking_for_a_workspace_that_is_none_says_how_to_make_one(tmp_path: Path):
    with pytest.raises(UsageError, match="`melanosizer run` makes one"):
        Workspace(tmp_path).existing()


def test_a_second_run_is_kept_out(tmp_path: Path):
    place = Workspace(tmp_path / "ws")
    place.prepare()
    with place.locked(), pytest.raises(UsageError, match="another run is using it"), place.locked():
        pass
    with place.locked():
        pass

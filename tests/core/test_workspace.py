"""The workspace: its layout, what it refuses, and what is told of it."""

from pathlib import Path

import pytest

from core.errors import UsageError
from core.workspace import Workspace, contained


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


def test_a_run_that_holds_the_workspace_is_seen_without_asking_for_its_lock(tmp_path: Path):
    place = Workspace(tmp_path / "ws")
    assert place.running() is None
    place.prepare()
    assert place.running() is False
    with place.locked():
        assert place.running() is True


def test_an_artifact_of_a_workspace_that_was_moved_is_found(tmp_path: Path):
    place = Workspace(tmp_path / "new")
    place.prepare()
    (place.artifacts / "Trainer" / "model" / "7").mkdir(parents=True)
    assert place.located("/old/artifacts/Trainer/model/7") == place.artifacts / "Trainer" / "model" / "7"
    assert place.located("/old/artifacts/../../etc") is None
    assert place.located("/etc") is None
    assert place.located("nul\0") is None


def test_no_path_leads_out_of_its_folder(tmp_path: Path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").touch()
    (tmp_path / "secret").touch()
    (tmp_path / "in" / "link").symlink_to(tmp_path / "secret")
    assert contained(tmp_path / "in", "a.txt") == (tmp_path / "in" / "a.txt").resolve()
    for relative in ("../secret", "link", "/etc/passwd", "a\0", "absent", "."):
        assert contained(tmp_path / "in", relative) is None

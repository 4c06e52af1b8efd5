"""What is missing for a training is said before the first step, with what there is instead."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.errors import UsageError
from core.workspace import Workspace
from pipeline import config, prerequisites


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace in which versions 7 and 12 were released, both trained on data version d1."""
    made = Workspace(tmp_path / "workspace")
    made.prepare()
    records = made.root / "registry" / "melanoma"
    records.mkdir(parents=True)
    for version in ("7", "12"):
        (records / f"{version}.json").write_text("{}")
        extra = made.serving / "melanoma" / version / "assets.extra"
        extra.mkdir(parents=True)
        (extra / "model.weights.h5").touch()
        (extra / "melanosizer.json").write_text(json.dumps({"data_version": "d1"}))
    return made


def check(workspace: Workspace, overrides: dict[str, str], data_version: str = "d1") -> None:
    settings = config.load("smoke", {f"trainer.{key}": value for key, value in overrides.items()})
    prerequisites.check(settings, workspace, data_version)


@pytest.mark.parametrize("name", config.preset_names())
def test_every_preset_finds_what_it_needs(name: str, workspace: Workspace) -> None:
    overrides = {"trainer.distil_from": "pushed:7"} if name == "full-gpu-distilled" else {}
    prerequisites.check(config.load(name, overrides), workspace, "d1")


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        ({"backbone": "resnet5"}, "'resnet5' is unknown; valid: .*resnet50"),
        ({"backbone": "base_cnn"}, "64 px is too small for base_cnn; valid: 76 and more"),
        (
            {"weights": "pushed:VERSION"},
            "pushed:VERSION: .*is not there; .*released in this workspace: 7, 12$",
        ),
        ({"weights": "pushed:8"}, "serving/melanoma/8: .*is not there; .*released in this workspace: 7, 12$"),
        ({"weights": "pushed:7#last"}, "behind # stands member= and a number"),
        ({"distil_from": "pushed:VERSION"}, "released in this workspace: 7, 12$"),
        (
            {"weights": "/nowhere/weights.pth"},
            "/nowhere/weights.pth: no such file; valid: imagenet, none, pushed:",
        ),
        ({"weights": "imagnet"}, "imagnet: no such file; valid: imagenet"),
    ],
)
def test_a_mistake_says_what_would_be_valid(
    overrides: dict[str, str], says: str, workspace: Workspace
) -> None:
    with pytest.raises(UsageError, match=says):
        check(workspace, overrides)


def test_a_workspace_without_a_release_says_so(tmp_path: Path) -> None:
    empty = Workspace(tmp_path / "empty")
    empty.prepare()
    with pytest.raises(UsageError, match="released in this workspace: none yet"):
        check(empty, {"weights": "pushed:7"})


@pytest.mark.parametrize("key", ["weights", "distil_from"])
def test_a_version_of_other_data_is_refused_unless_it_is_allowed(key: str, workspace: Workspace) -> None:
    check(workspace, {key: "pushed:7"}, "d1")
    with pytest.raises(
        UsageError, match=r"was trained on data version d1, this is d2: .*allow_other_data=true"
    ):
        check(workspace, {key: "pushed:7"}, "d2")
    check(workspace, {key: "pushed:7", "allow_other_data": "true"}, "d2")


def test_a_search_is_looked_at_with_all_its_values(workspace: Workspace) -> None:
    space = "{space: {backbone: {values: [tiny_cnn, resnet5]}}}"
    with pytest.raises(UsageError, match="'resnet5' is unknown"):
        prerequisites.check(config.load("smoke", {"tuner": space}), workspace, "d1")


def test_a_file_that_is_there_is_enough(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "weights.h5").touch()
    check(workspace, {"weights": str(tmp_path / "weights.h5")})

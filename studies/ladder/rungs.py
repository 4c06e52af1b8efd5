"""The ladder's presets: `studies/ladder/presets/*.yaml`, one a rung, in the order of their numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources

import yaml
from pydantic import Field

from core.errors import UsageError
from pipeline.config import About, preset_names, validated
from studies.ladder.networks import Experiment

_PRESETS = "studies.ladder.presets"


class ExperimentPreset(Experiment):
    """A rung with what a reader needs to choose it."""

    about: About = Field(description="what the preset is for")


@cache
def presets() -> dict[str, ExperimentPreset]:
    """Return every rung by name, in order."""
    found = {}
    for name in preset_names(_PRESETS):
        content = yaml.safe_load((resources.files(_PRESETS) / f"{name}.yaml").read_text(encoding="utf-8"))
        found[name] = validated(ExperimentPreset, content, f"preset {name}")
    return found


def chosen(wanted: Sequence[str]) -> dict[str, ExperimentPreset]:
    """Return the rungs of the given names or beginnings of names, in order; all without any.

    Those whose weights they start from come with them.

    Raises:
        UsageError: nothing is called so.
    """
    everything = presets()
    if not wanted:
        return everything
    found: set[str] = set()
    for text in wanted:
        hits = [
            name for name in everything if name == text or name.startswith(text) or name[3:].startswith(text)
        ]
        if not hits:
            raise UsageError(f"--rungs {text}: no such rung; there are {', '.join(everything)}")
        found.update(hits)
    for name in reversed(everything):  # a rung starts from one before it
        start = everything[name].warm_start
        if name in found and start:
            found.add(start)
    return {name: rung for name, rung in everything.items() if name in found}


def with_weights(rungs: Mapping[str, Experiment], given: Sequence[str]) -> dict[str, Experiment]:
    """Return all rungs, those of a named backbone starting from a file instead of ImageNet's download.

    Raises:
        UsageError: a text is not of the form BACKBONE=PATH#sha256=HEX, or no rung asks for ImageNet's weights of that backbone.
    """
    files: dict[str, str] = {}
    asking = {rung.trainer.backbone for rung in rungs.values() if rung.trainer.weights == "imagenet"}
    for text in given:
        backbone, _, weights = text.partition("=")
        if not weights or backbone not in asking:
            raise UsageError(
                f"--weights {text}: give BACKBONE=PATH#sha256=HEX, with one of {', '.join(sorted(asking))}"
            )
        files[backbone] = weights
    return {
        name: rung.model_copy(
            update={"trainer": rung.trainer.model_copy(update={"weights": files[rung.trainer.backbone]})}
        )
        if rung.trainer.weights == "imagenet" and rung.trainer.backbone in files
        else rung
        for name, rung in rungs.items()
    }

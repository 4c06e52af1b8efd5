"""The ladder's presets: `pipeline/presets/studies/ladder/*.yaml`, one a rung, in the order of their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path

import yaml
from pydantic import Field, ValidationError

from components.studies.ladder import Rung
from pipeline.config import About, explain
from pipeline.errors import UsageError


class RungPreset(Rung):
    """A rung with what a reader needs to choose it."""

    about: About = Field(description="what the preset is for")


@cache
def presets() -> dict[str, RungPreset]:
    """Return every rung by name, in order."""
    folder = resources.files("pipeline.presets.studies.ladder")
    names = sorted(Path(item.name).stem for item in folder.iterdir() if item.name.endswith(".yaml"))
    return {name: load((folder / f"{name}.yaml").read_text(encoding="utf-8"), name) for name in names}


def load(text: str, where: str) -> RungPreset:
    """Read one rung.

    Raises:
        UsageError: an unknown key, or a value out of range.
    """
    try:
        return RungPreset.model_validate(yaml.safe_load(text))
    except ValidationError as error:
        raise UsageError(explain(error, f"preset {where}", RungPreset)) from None


def chosen(wanted: Sequence[str]) -> dict[str, RungPreset]:
    """Return the rungs of the given names or beginnings of names, in order; all without any.

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
    return {name: rung for name, rung in everything.items() if name in found}

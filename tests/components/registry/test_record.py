"""What the registry step serves."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from components.idle import IDLE
from components.registry import component
from components.registry.component import write_record
from core.hashing import FACTS
from core.registry.rollout import Rollout
from core.registry.store import Registry
from tests.support.version_records import version_record


def _pushed(**properties: Any) -> SimpleNamespace:
    return SimpleNamespace(
        get_int_custom_property=lambda key: properties.get(key, 0),
        get_string_custom_property=lambda key: properties.get(key, ""),
    )


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    registry = Registry(tmp_path, "melanoma", Rollout(settle_seconds=0))
    for version in ("1", "2"):
        facts = registry.served / version / FACTS
        facts.parent.mkdir(parents=True)
        facts.write_text(json.dumps({"model_version": version}))
        (registry.served / version / "saved_model.pb").touch()
        registry.add(version_record(version), who=f"run {version}", why="good")
    return registry


def _write(registry: Registry, pushed: SimpleNamespace, folder: Path) -> str:
    record = SimpleNamespace(uri=str(folder))
    write_record(pushed, record, registry, "3", "{}", lambda facts: ({}, f"AUC of {facts['model_version']}"))
    return (folder / "record.json").read_text()


def test_an_unchanged_model_whose_place_a_later_run_took_is_served_again(
    registry: Registry, tmp_path: Path
) -> None:
    assert _write(registry, _pushed(unchanged="1"), tmp_path / "record") == "{}\n"
    assert registry.channels().stable == "1"
    last = registry.events()[-1]
    assert (last.who, last.why) == ("run 3", "every gate let it through (AUC of 1)")
    assert registry.versions() == ["1", "2"]


def test_where_nothing_was_pushed_nothing_changes_and_the_step_says_so(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[tuple[str, ...]] = []
    monkeypatch.setattr(component.logging, "info", lambda *message: said.append(message))
    assert _write(registry, _pushed(), tmp_path / "record") == "{}\n"
    assert said == [(IDLE, "nothing was pushed")]
    assert registry.channels().stable == "2"
    assert len(registry.events()) == 2

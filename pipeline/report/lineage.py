"""From which data, configuration and parents the model comes, each with its SHA-256; and the steps in between."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from core import hashing
from core.charts import marks
from core.numbers import count, limit, plural
from core.workspace import Workspace
from pipeline.outcome import StepOutcome
from pipeline.report import words
from pipeline.report.evidence import Evidence


@dataclass(frozen=True)
class Link:
    """One link of the chain: what it is, its hash, and what else is known of it."""

    name: str
    title: str
    sha256: str
    facts: Sequence[tuple[str, str]]


def chain(evidence: Evidence, workspace: Workspace) -> list[Link]:
    """Return data, configuration, model and parent, as far as the run got."""
    result, record = evidence.result, evidence.record
    links = [_data(evidence), _config(evidence, workspace)]
    if result.model:
        links.append(_model(evidence))
    parent = record.parents.baseline_version if record else None
    if parent:
        links.append(Link("Compared with", f"version {parent}", "", [("role", "the model blessed last")]))
    return links


def steps(evidence: Evidence) -> list[tuple[StepOutcome, Markup]]:
    """Return the steps in the order they ran, with bars of their times; look-ups of earlier runs are no work of this."""
    shown = [step for step in evidence.result.steps if step.name != "Resolver"]
    longest = max((step.seconds for step in shown), default=0.0)
    return [(step, marks.bar(step.seconds, longest)) for step in shown]


def settings(config: dict[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the configuration as (part, [(dotted key, value)]); `about` is prose, not a setting."""
    parts: dict[str, list[tuple[str, str]]] = {}
    for key, value in config.items():
        if key == "about":
            continue
        rows = list(flat(value, key))
        parts.setdefault(key if isinstance(value, dict) else "run", []).extend(rows)
    return sorted(parts.items(), key=lambda item: item[0] != "run")


def flat(value: Any, key: str) -> Sequence[tuple[str, str]]:
    """Return (dotted key, value in words) of everything below ``key``."""
    if isinstance(value, dict) and value:
        return [row for name, inner in value.items() for row in flat(inner, f"{key}.{name}")]
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        return [row for index, item in enumerate(value) for row in flat(item, f"{key}[{index}]")]
    if isinstance(value, list):
        return [(key, ", ".join(_written(item) for item in value) or "none")]
    return [(key, _written(value))]


def described(model: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what a model says of itself as (readable name, rounded value)."""
    rows = []
    for name, value in model.items():
        if name == "classes":
            named = [f"{words.value(one['name'])}{' (positive)' if one['positive'] else ''}" for one in value]
            rows.append((words.fact(name), ", ".join(named)))
        elif name not in {"config", "metrics"}:
            rows += [(words.fact(key), text) for key, text in flat(value, name)]
    return rows


def _written(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return json.dumps(value)
    return limit(value) if isinstance(value, float) else str(value)


def _data(evidence: Evidence) -> Link:
    images = sum(labels.images for labels in evidence.splits.values())
    facts = [("folder", Path(evidence.result.data).name)]
    if images:
        facts.insert(0, ("images", count(images)))
    return Link("Data", f"version {evidence.result.data_version[:12]}", evidence.result.data_version, facts)


def _config(evidence: Evidence, workspace: Workspace) -> Link:
    path = workspace.run(evidence.result.run_id) / "config.json"
    digest = hashing.file_hash(path) if path.is_file() else ""
    facts = [("run", evidence.result.run_id)]
    trainer = evidence.config.get("trainer", {})
    facts += [(key, str(trainer[key])) for key in ("strategy", "backbone", "seed") if key in trainer]
    return Link("Configuration", f"preset {evidence.result.preset}", digest, facts)


def _model(evidence: Evidence) -> Link:
    folder = Path(evidence.result.model or "")
    version = str(evidence.model.get("model_version", "unknown"))
    facts = []
    if isinstance(evidence.model.get("parameters"), int):
        facts.append(("size", plural(evidence.model["parameters"], "parameter")))
    digest = ""
    if evidence.record is not None and evidence.record.version == version:
        digest = evidence.record.sha256
    elif folder.is_dir():
        digest = hashing.tree_hash(folder)
    if (folder / hashing.FACTS).is_file():
        facts.append(("fingerprint", hashing.fingerprint(folder)[:16]))
    if evidence.result.status == "unchanged" and evidence.result.version != version:
        facts.insert(0, ("equal to", f"version {evidence.result.version}"))
    return Link("Model", f"version {version}", digest, facts)

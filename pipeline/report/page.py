"""Writes the report of one run: one HTML file that needs nothing else, and the cards beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.evaluator import worst
from components.evaluator.predictions import Prediction
from core.measures.calibration import CALIBRATION_METHOD
from core.workspace import Workspace
from pipeline.outcome import Outcome
from pipeline.report import (
    data,
    evidence,
    headline,
    lineage,
    model_card,
    paper,
    performance,
    slices,
    training,
)
from pipeline.report.evidence import Evidence

FILE_NAME = "report.html"


@dataclass(frozen=True)
class Mistake:
    """One wrong answer, its picture, and that under the heat map: data URIs, "" where there is none."""

    prediction: Prediction
    picture: str
    heat_map: str


def write(result: Outcome, workspace: Workspace, out: Path | None = None) -> Path:
    """Write the report of a run, by default into its folder, and the cards beside it; return the report's path."""
    path = out or workspace.run(result.run_id) / FILE_NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    for name, text in render(evidence.gather(result, workspace), workspace, path.name).items():
        target = path if name == FILE_NAME else path.parent / name
        target.write_text(text, encoding="utf-8")
    return path


def render(found: Evidence, workspace: Workspace, report_name: str = FILE_NAME) -> dict[str, str]:
    """Return the text of each file by its name; the cards link to the report as ``report_name``."""
    measured = performance.of(found)
    parts = slices.of(found, measured.measures) if measured else None
    data_facts = data.card(found)
    files = {"data_card.json": _json(data_facts.model_dump(mode="json"))}
    model_facts = model_card.of(found, measured, parts) if measured and parts else None
    if model_facts is not None:
        files["model_card.json"] = _json(model_facts.model_dump(mode="json"))
        files[model_card.HUB_FILE_NAME] = model_card.markdown(model_facts)
    wrong = {
        "missed": worst.missed(found.predictions),
        "false_alarms": worst.false_alarms(found.predictions),
    }
    context: dict[str, Any] = {
        "run": found.result,
        "evidence": found,
        "report_name": report_name,
        "headline": headline.of(found, measured),
        "performance": measured,
        "ece_method": CALIBRATION_METHOD,
        "slices": parts,
        "data": data.of(found),
        "training": training.of(found),
        "weaknesses": model_card.weaknesses(found.robustness),
        "wrong": {
            name: (len(items), _with_pictures(items[: worst.SHOWN], found)) for name, items in wrong.items()
        },
        "carcinomas": headline.carcinomas(found.predictions),
        "positive_diagnoses": found.manifest.config.positive_diagnoses if found.manifest else (),
        "contact_sheet": paper.data_uri(found.contact_sheet),
        "chain": lineage.chain(found, workspace),
        "steps": lineage.steps(found),
        "network": lineage.described(found.model),
        "settings": lineage.settings(found.config),
        "cards": {"data": data_facts, "model": model_facts},
    }
    files[FILE_NAME] = paper.render("report.html.j2", context)
    files["data_card.html"] = paper.render("data_card.html.j2", context)
    if model_facts is not None:
        files["model_card.html"] = paper.render("model_card.html.j2", context)
    return files


def _with_pictures(wrong: Sequence[Prediction], found: Evidence) -> list[Mistake]:
    return [
        Mistake(
            item,
            paper.data_uri(found.pictures.get(item.image_name)),
            paper.data_uri(found.heat_maps.get(item.image_name)),
        )
        for item in wrong
    ]


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"

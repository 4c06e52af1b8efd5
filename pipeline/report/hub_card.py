"""The model card as model hubs read it: Markdown under a head of YAML, in the Hugging Face Hub's format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from core.measures.rates import Interval
from pipeline.report import words
from pipeline.report.model_card import ModelCard

FILE_NAME = "model_card.md"
# The hub's names of metrics; the others have ours.
_METRICS = {"auc": "roc_auc", "sensitivity": "recall", "brier_score": "brier_score"}
_LICENCE = (
    "The software is under the Apache License 2.0. A model may be passed on as the terms of its training images and of its "
    "first weights allow; who passes it on names its licence in the head of this file."
)


def markdown(card: ModelCard) -> str:
    """Return the card as a hub's README.md; its head holds every figure of the test split and of data from elsewhere."""
    head = {
        "license": "other",
        "license_name": "terms-of-the-training-data",
        "language": "en",
        "pipeline_tag": "image-classification",
        "tags": ["melanoma", "dermoscopy", "medical-imaging", "tensorflow", "saved-model"],
        "model-index": [{"name": f"{card.model_name} {card.model_version}", "results": _results(card)}],
    }
    facts = "\n".join(f"- {name}: {value}" for name, value in _facts(card).items())
    return "\n".join(
        [
            f"---\n{yaml.safe_dump(head, sort_keys=False, allow_unicode=True)}---\n",
            f"# {card.model_name} {card.model_version}\n",
            f"> {card.warning}\n",
            facts,
            "\n## Figures\n",
            f"On {card.test_images} test images, {card.test_melanomas} of them melanomas.\n",
            _table(card),
            "\n## Limits\n",
            *(f"- {sentence}" for sentence in card.not_known),
            "\n## Reporting checklists\n",
            "Filled by the run:\n",
            *(f"- {item}" for item in card.reporting.filled),
            "\nA person must write:\n",
            *(f"- {item}" for item in card.reporting.missing),
            f"\n## Licence\n\n{_LICENCE}\n",
        ]
    )


def _facts(card: ModelCard) -> dict[str, str]:
    gates = ", ".join(f"{name} {'passed' if passed else 'refused'}" for name, passed in card.gates.items())
    return {
        "run": f"{card.run_id} ({card.status}), {card.created:%Y-%m-%d}",
        "software": f"melanosizer {card.software}",
        "gates": gates,
        "operating point": f"refer where the probability is at least {card.operating_point:.4f}",
        "training data": card.data_version,
    }


def _measured(card: ModelCard) -> list[tuple[dict[str, str], Mapping[str, Interval]]]:
    """Return each data set, as the hub describes it, with the figures measured on it."""
    own = {"name": "own test split", "split": "test", "revision": card.data_version}
    found: list[tuple[dict[str, str], Mapping[str, Interval]]] = [(own, card.metrics)]
    for one in card.external:
        metrics = {
            "auc": one.auc,
            "sensitivity": one.sensitivity,
            "specificity": one.specificity,
            "calibration_error": one.ece,
            "brier_score": one.brier,
        }
        found.append(({"name": one.name, "split": "all", "revision": one.data_version}, metrics))
    return found


def _results(card: ModelCard) -> list[dict[str, Any]]:
    return [
        {
            "task": {"type": "image-classification", "name": "melanoma in dermoscopic images"},
            "dataset": {"type": "dermoscopy", **data},
            "metrics": [
                {"type": _METRICS.get(key, key), "name": words.metric(key), "value": round(value.value, 4)}
                for key, value in metrics.items()
            ],
        }
        for data, metrics in _measured(card)
    ]


def _table(card: ModelCard) -> str:
    columns = _measured(card)
    lines = [f"| | {' | '.join(data['name'] for data, _ in columns)} |", "|---" * (len(columns) + 1) + "|"]
    for key in ("auc", "sensitivity", "specificity", "calibration_error"):
        label = "AUC" if key == "auc" else key.replace("_", " ")
        lines.append(f"| {label} | {' | '.join(str(metrics[key]) for _, metrics in columns)} |")
    return "\n".join(lines)

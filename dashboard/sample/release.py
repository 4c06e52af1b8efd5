"""A released version: its folder, registry record, event, and the server's configuration."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from core.registry import model_server_config
from core.workspace import Workspace
from dashboard import clock
from dashboard.sample.size import LOW_BELOW, THRESHOLD


def release(
    made: Workspace,
    version: str,
    run_id: str,
    preset: str,
    started: int,
    data_version: str,
    metrics: dict[str, Any],
    verdicts: list[dict[str, Any]],
    config: dict[str, Any],
    served: list[str],
) -> None:
    """Release a run's version; it joins `served`."""
    made.records("melanoma").mkdir(parents=True, exist_ok=True)
    (made.served("melanoma") / version).mkdir(parents=True, exist_ok=True)
    (made.served("melanoma") / version / "saved_model.pb").write_bytes(b"an example, no model")
    positives = metrics["true_positives"] + metrics["false_negatives"]
    negatives = metrics["true_negatives"] + metrics["false_positives"]
    seal = hashlib.sha256(version.encode()).hexdigest()
    record = {
        "schema_version": 1,
        "model_name": "melanoma",
        "version": version,
        "created": clock.stamp(started + 30 * clock.MINUTE),
        "run_id": run_id,
        "preset": preset,
        "software": "0.1.0",
        "config": config,
        "label_counts": {"train": {"negatives": 130, "positives": 17}},
        "metrics": {
            "auc": metrics["auc"],
            "auc_precision_recall": metrics["auc_precision_recall"],
            "sensitivity": metrics["true_positives"] / positives,
            "specificity": metrics["true_negatives"] / negatives,
            "threshold": THRESHOLD,
        },
        "slices": [],
        "verdicts": verdicts,
        "sha256": seal,
        "fingerprint": seal,
        "parents": {"data_version": data_version, "baseline_version": served[-1] if served else None},
        "model": {
            "model_version": version,
            "threshold": THRESHOLD,
            "zones": {"low_below": LOW_BELOW, "refer_from": THRESHOLD},
            "parameters": 3_413_024,
        },
        "files": [],
    }
    (made.records("melanoma") / f"{version}.json").write_text(json.dumps(record, indent=2) + "\n")
    event = {
        "time": clock.stamp(started + 31 * clock.MINUTE),
        "action": "pushed",
        "version": version,
        "previous": served[-1] if served else None,
        "who": f"run {run_id}",
        "why": f"every gate let it through (AUC {metrics['auc']:.3f})",
    }
    with made.events.open("a") as stream:
        stream.write(json.dumps(event, separators=(",", ":")) + "\n")
    (made.records("melanoma") / "channels.json").write_text(
        json.dumps({"stable": version, "canary": None}, separators=(",", ":")) + "\n"
    )
    base = made.served("melanoma").resolve()
    model = model_server_config.ServedModel("melanoma", str(base), (version,), {"stable": version})
    made.server_config.write_text(model_server_config.render(model))
    served.append(version)

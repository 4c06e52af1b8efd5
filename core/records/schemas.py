"""Generate schemas/*.schema.json from the records: ``python -m core.records.schemas``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from core.records.examination import Examination
from core.records.heartbeat import Heartbeat
from core.records.lineage import LineageRecord
from core.records.prediction import PredictionRecord
from core.records.version import VersionRecord

FOLDER = Path(__file__).resolve().parents[2] / "schemas"
MODELS: dict[str, type[BaseModel]] = {
    "examination": Examination,
    "heartbeat": Heartbeat,
    "lineage_record": LineageRecord,
    "prediction_record": PredictionRecord,
    "registry_record": VersionRecord,
}
# A prediction's line leaves out what it has no value for; every other record holds every field.
ALWAYS_IN_LINE = ("schema", "outputs")


def schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema of what is written, which is stricter than what a reader takes."""
    if MODELS[name] is PredictionRecord:
        found = PredictionRecord.model_json_schema(mode="validation")
        found["required"] += ALWAYS_IN_LINE
    else:
        found = MODELS[name].model_json_schema(mode="serialization")
    for part in (found, *found.get("$defs", {}).values()):
        if part.get("type") == "object" and "properties" in part:
            part["additionalProperties"] = False
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"{name}.schema.json", **found}


def content(name: str) -> str:
    """Return the text of a schema's file."""
    return json.dumps(schema(name), indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write every schema."""
    for name in MODELS:
        (FOLDER / f"{name}.schema.json").write_text(content(name), encoding="utf-8")


if __name__ == "__main__":
    main()

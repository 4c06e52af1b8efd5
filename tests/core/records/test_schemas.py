"""The schemas are those of the records that are written, and of the records that are read."""

from __future__ import annotations

import pytest

from core.records import schemas


@pytest.mark.parametrize("name", schemas.MODELS)
def test_a_schema_file_is_generated_from_its_record(name: str) -> None:
    written = (schemas.FOLDER / f"{name}.schema.json").read_text(encoding="utf-8")
    assert written == schemas.content(name), "run python -m core.records.schemas"


def test_a_schema_refuses_what_no_writer_writes() -> None:
    for name in schemas.MODELS:
        assert schemas.schema(name)["additionalProperties"] is False, name
    heartbeat = schemas.schema("heartbeat")
    assert set(heartbeat["required"]) == set(heartbeat["properties"])

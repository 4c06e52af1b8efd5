from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import schemas
from components.ingest import manifest as manifests
from components.ingest.config import Fractions, IngestConfig, Source
from components.ingest.errors import IngestError
from components.ingest.manifest import Manifest, data_version, json_schema


@pytest.fixture
def values() -> dict[str, Any]:
    shard = {"file": "train/data-00000-of-00001.tfrecord.gz", "records": 3, "bytes": 9, "sha256": "a" * 64}
    empty = {"images": 0, "positives": 0, "groups": 0, "diagnoses": {}, "shards": ()}
    return {
        "data_version": "b" * 64,
        "created": "2026-11-22T00:00:00+00:00",
        "counts": {
            "rows_read": 5,
            "written": 3,
            "quarantined": 2,
            "by_reason": {"empty": 2},
            "converted": {},
            "near_duplicates": 0,
            "unlisted_files": 0,
        },
        "splits": {
            "train": {
                "images": 3,
                "positives": 1,
                "groups": 3,
                "diagnoses": {"mel": 1, "": 2},
                "shards": (shard,),
            },
            "eval": empty,
            "test": empty,
        },
        "sources": (),
        "class_weights": (0.75, 1.5),
        "config": IngestConfig(sources=(Source(kind="csv", path=Path("x")),)),
    }


def test_what_is_saved_is_loaded_and_fits_the_schema(tmp_path: Path, values: dict[str, Any]) -> None:
    manifest = Manifest.model_validate(values)
    path = manifest.save(tmp_path)
    assert Manifest.load(tmp_path) == Manifest.load(path) == manifest
    jsonschema.validate(json.loads(path.read_text()), json.loads(json_schema()))
    assert manifest.splits["train"].negatives == 2


def test_the_schema_file_is_current() -> None:
    written = (Path(schemas.__file__).parent / "manifest.schema.json").read_text()
    assert written == json_schema(), "write it again: python -m components.ingest.manifest"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rows_read": 6}, "6 rows read, but 3 written"),
        ({"by_reason": {"empty": 1}}, "2 quarantined, but the reasons add up to"),
        ({"rows_read": 6, "written": 4}, "4 written, but the splits hold 3 and the files 3"),
    ],
)
def test_accounts_that_do_not_add_up_are_refused(
    values: dict[str, Any], change: dict[str, Any], said: str
) -> None:
    values["counts"].update(change)
    with pytest.raises(ValueError, match=said):
        Manifest.model_validate(values)


def test_a_missing_or_broken_manifest_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(IngestError, match="is not an ingested data set; run melanosizer ingest"):
        Manifest.load(tmp_path)
    (tmp_path / manifests.NAME).write_text('{"data_version": "x"}')
    with pytest.raises(IngestError, match="not a valid manifest: data_version"):
        Manifest.load(tmp_path)


def test_the_version_depends_on_the_content_and_not_on_its_order() -> None:
    assert data_version(["a", "b"]) == data_version(["b", "a"])
    assert data_version(["a", "b"]) != data_version(["a", "c"])


def test_fractions_must_add_up() -> None:
    with pytest.raises(ValueError, match=r"add up to 1\.1; they must add up to 1"):
        Fractions(train=0.8, eval=0.15, test=0.15)

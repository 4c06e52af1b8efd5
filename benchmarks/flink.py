"""Ingest and statistics on a Flink cluster of two task slots, against the same on Beam's local runner.

    python -m benchmarks.flink --source ham10000:ham10000/metadata.csv

Prints the time of each and whether the results are the same: every TFRecord file byte by byte, every split's
statistics number by number (features in any order, floats to 12 digits: two workers add up in another order than
one). Exits with 1 when they are not.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from tensorflow_metadata.proto.v0 import statistics_pb2

from benchmarks.flink_cluster import FlinkCluster
from benchmarks.measuring import command_line, markdown
from components.ingest.config import LOCAL_BEAM_OPTIONS, IngestConfig, Source
from components.ingest.job import ingest
from components.ingest.manifest import Manifest
from core.workspace import Workspace
from pipeline import config as configuration
from pipeline.config import LOCAL_BEAM_ARGS
from pipeline.dag import ClassifierSteps, create_pipeline
from pipeline.targets import local


@dataclass(frozen=True)
class Side:
    """What came out on one runner."""

    seconds: dict[str, float] = field(default_factory=dict)
    results: dict[str, str] = field(default_factory=dict)  # what -> SHA-256


def ingested(source: str, folder: Path, options: Sequence[str], decoders: int | None, side: Side) -> Path:
    """Ingest `source` into `folder / "data"`; notes the time and the hash of every file but the manifest's date."""
    begun = time.monotonic()
    config = IngestConfig(sources=(Source.parse(source),), beam_options=tuple(options), decoders=decoders)
    manifest = ingest(config, folder / "data")
    side.seconds[f"ingest, {manifest.counts.rows_read} images"] = time.monotonic() - begun
    side.results["data version"] = manifest.data_version
    for file in sorted((folder / "data").rglob("*.gz")):
        side.results[f"ingest: {file.relative_to(folder / 'data')}"] = _sha256(file.read_bytes())
    return folder / "data"


def analysed(data: Path, folder: Path, options: Sequence[str], side: Side) -> None:
    """Run the pipeline on `data` as far as its statistics; notes the time and the hash of every split's."""
    from tfx.orchestration.portable import partial_run_utils

    config = configuration.load("smoke").model_copy(update={"beam_args": tuple(options)})
    workspace = Workspace(folder / "workspace")
    workspace.prepare()
    where = local.locations(
        workspace=workspace,
        data=data,
        data_version=Manifest.load(data).data_version,
        run_id="statistics",
        preset="smoke",
    )
    compiled = local.compiled(create_pipeline(ClassifierSteps(config), where), "statistics")
    partial_run_utils.mark_pipeline(compiled, to_nodes=["StatisticsGen"])
    begun = time.monotonic()
    local.run(compiled)
    side.seconds["statistics of every split"] = time.monotonic() - begun
    for file in sorted((workspace.artifacts / "StatisticsGen").rglob("FeatureStats.pb")):
        side.results[f"statistics: {file.parent.name}"] = _sha256(statistics(file))


def differences(one: Side, other: Side) -> list[str]:
    """Names of the results that are not the same on both sides."""
    names = sorted({*one.results, *other.results})
    return [name for name in names if one.results.get(name) != other.results.get(name)]


def statistics(file: Path) -> bytes:
    """What a statistics file says, without what the order of adding decides."""
    found = statistics_pb2.DatasetFeatureStatisticsList.FromString(file.read_bytes())
    content = json_format.MessageToDict(found)
    for dataset in content["datasets"]:
        dataset["features"].sort(key=lambda one: one["path"]["step"])
    return json.dumps(_rounded(content), sort_keys=True).encode()


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.12g}")
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list) else value


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def main() -> None:
    """Measure both sides and print the table."""
    parser = command_line(__doc__)
    parser.add_argument("--source", required=True, help="as `melanosizer ingest --source` takes it")
    parser.add_argument("--folder", type=Path, help="keep what was made here; default: nothing is kept")
    options = parser.parse_args()
    here, flink = Side(), Side()
    with tempfile.TemporaryDirectory() as name:
        folder = options.folder or Path(name)
        data = ingested(options.source, folder / "local", LOCAL_BEAM_OPTIONS, None, here)
        analysed(data, folder / "local", LOCAL_BEAM_ARGS, here)
        with FlinkCluster(folder / "cluster", slots=2) as cluster:
            # Two slots are two Python workers: each decodes in its own process.
            there = ingested(options.source, folder / "flink", cluster.beam_options(), 0, flink)
            analysed(there, folder / "flink", cluster.beam_options(), flink)
            jobs = cluster.finished_jobs()
    rows = [(step, f"{one:.0f}", f"{flink.seconds[step]:.0f}") for step, one in here.seconds.items()]
    print(markdown(("step", "local, s", "Flink, 2 slots, s"), rows))
    different = differences(here, flink)
    print(f"\n{jobs} Flink jobs; {len(here.results)} results compared, {len(different)} different")
    for name in different:
        print(f"  different: {name}")
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()

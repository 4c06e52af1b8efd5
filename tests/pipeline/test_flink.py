"""Ingest and statistics on a real Flink cluster of two task slots."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import flink
from benchmarks.flink_cluster import FlinkCluster, UnavailableError, fetch
from components.ingest.config import LOCAL_BEAM_OPTIONS
from pipeline.config import LOCAL_BEAM_ARGS
from pipeline.synthetic.cohort import SynthConfig, synthesise


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    try:
        fetch()
    except UnavailableError as error:
        pytest.skip(f"no Flink cluster here: {error}")
    with FlinkCluster(tmp_path_factory.mktemp("flink"), slots=2) as running:
        yield running


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_ingest_and_statistics_on_flink_are_those_of_the_local_runner(cluster, tmp_path):
    table = synthesise(SynthConfig(images=120, size=96), tmp_path / "synth")
    source = f"csv:{table}"
    here, there = flink.Side(), flink.Side()
    data = flink.ingested(source, tmp_path / "local", LOCAL_BEAM_OPTIONS, None, here)
    flink.analysed(data, tmp_path / "local", LOCAL_BEAM_ARGS, here)
    before = cluster.finished_jobs()
    data = flink.ingested(source, tmp_path / "flink", cluster.beam_options(), 0, there)
    flink.analysed(data, tmp_path / "flink", cluster.beam_options(), there)
    assert (
        cluster.finished_jobs() == before + 3
    )  # check, write, StatisticsGen; ExampleGen only takes the shards over
    assert {name.split(":")[0] for name in here.results} == {"data version", "ingest", "statistics"}
    assert flink.differences(here, there) == []


def test_a_difference_of_one_image_is_found(tmp_path):
    table = synthesise(SynthConfig(images=60, size=96), tmp_path / "synth")
    lines = table.read_text().splitlines()
    fewer = table.with_name("fewer.csv")
    fewer.write_text("\n".join(lines[:-1]) + "\n")
    sides = []
    for path in (table, fewer):
        side = flink.Side()
        flink.ingested(f"csv:{path}", tmp_path / path.stem, LOCAL_BEAM_OPTIONS, None, side)
        sides.append(side)
    assert "data version" in flink.differences(*sides)


def test_without_java_the_reason_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(Path(tmp_path)))
    with pytest.raises(UnavailableError, match="java is not installed"):
        fetch(tmp_path / "kept")

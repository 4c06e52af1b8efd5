"""The class balance step: counts, judges, and computes the class weights the Trainer uses."""

# TFX reads these annotations at run time, so they cannot be postponed.
import json
import tempfile
from pathlib import Path

import apache_beam as beam
import tensorflow_data_validation as tfdv

# Not tfx.v1, which imports all of TFX: a step in a container takes two seconds of processor time longer with it.
from tfx.dsl.component.experimental.annotations import (
    BeamComponentParameter,
    InputArtifact,
    OutputArtifact,
    Parameter,
)
from tfx.dsl.component.experimental.decorators import component
from tfx.types import artifact_utils, standard_artifacts

from components.balance import labels, records
from components.balance.config import BalanceConfig
from core.features import SPLITS, class_weights
from core.records.verdict import Verdict


@component(use_beam=True)
def ClassBalance(  # noqa: N802 - a component is a class to its users
    examples: InputArtifact[standard_artifacts.Examples],
    statistics: InputArtifact[standard_artifacts.ExampleStatistics],
    balance: OutputArtifact[standard_artifacts.ExampleAnomalies],
    config: Parameter[str],
    data_version: Parameter[str],
    spans: Parameter[str] = "[]",
    grown_from: Parameter[str] = "[]",
    accepted: InputArtifact[standard_artifacts.HyperParameters] = None,
    beam_pipeline: BeamComponentParameter[beam.Pipeline] = None,
) -> None:
    """Judge the labels of every split against ``config`` and against the data accepted last.

    ``spans`` are the label counts of each part of the data, as JSON, the newest last; ``grown_from`` the data versions
    whose splits are kept in this one, which the Trainer is told.

    Writes `verdict.json` (all checks) and `balance.json` (counts, class weights, data version).
    Nothing is raised here, so that the findings stay inspectable; the data gate raises.
    """
    counts = {
        split: labels.count(
            tfdv.load_stats_binary(
                str(Path(artifact_utils.get_split_uri([statistics], split)) / "FeatureStats.pb")
            )
        )
        for split in SPLITS
    }
    before = None
    if accepted is not None:
        content = json.loads((Path(accepted.uri) / "accepted.json").read_text())
        before = {
            split: labels.LabelCounts.model_validate(value)
            for split, value in content["label_counts"].items()
        }
    patterns = {split: f"{artifact_utils.get_split_uri([examples], split)}/*" for split in SPLITS}
    with tempfile.TemporaryDirectory() as scratch:
        with beam_pipeline as pipeline:
            splits = records.read(pipeline, patterns)
            records.overlaps(splits) | "Overlap" >> beam.io.WriteToText(f"{scratch}/overlap")
            records.count(splits) | "Groups" >> beam.io.WriteToText(f"{scratch}/groups")
        overlap, groups = (
            "".join(part.read_text() for part in sorted(Path(scratch).glob(f"{name}*"))).splitlines()
            for name in ("overlap", "groups")
        )
    found = records.summarise(overlap)
    limits = BalanceConfig.model_validate_json(config)
    parts = [labels.LabelCounts.model_validate(value) for value in json.loads(spans)]
    checks = (*labels.checks(limits, counts, before), *labels.span_checks(limits, parts), *found.checks())
    folder = Path(balance.uri)
    Verdict(gate="data", checks=checks).save(folder)
    train = counts["train"]
    weights = (
        class_weights(train.negatives, train.positives) if train.positives and train.negatives else (1.0, 1.0)
    )
    content = {
        "data_version": data_version,
        "grown_from": json.loads(grown_from),
        "label_counts": {split: value.model_dump() for split, value in counts.items()},
        "class_weights": {"0": weights[0], "1": weights[1]},
        "overlap": found.model_dump(),
        "groups": records.collect(groups),
    }
    (folder / "balance.json").write_text(json.dumps(content, indent=2) + "\n")

"""The data gate: the one place where a refused data set stops the run.

What it emits when it does not raise is an input of the Trainer, so nothing can run past it.
"""

# TFX reads these annotations at run time, so they cannot be postponed.
import json
import shutil
from pathlib import Path
from typing import Any

# Not tfx.v1, which imports all of TFX: a step in a container takes two seconds of processor time longer with it.
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.components.common import resolver
from tfx.types import artifact_utils, standard_artifacts

from components.gate import anomalies as example_anomalies
from core.records.verdict import GateRefusedError, Verdict

ACCEPTED_ROLE = "accepted_data"


@component
def DataGate(  # noqa: N802 - a component is a class to its users
    anomalies: InputArtifact[standard_artifacts.ExampleAnomalies],
    balance: InputArtifact[standard_artifacts.ExampleAnomalies],
    accepted: OutputArtifact[standard_artifacts.HyperParameters],
) -> None:
    """Pass the accepted data's label counts and class weights on, or stop the run.

    Raises:
        GateRefusedError: a schema anomaly, or a check of the class balance that did not hold.
    """
    uris = {
        split: artifact_utils.get_split_uri([anomalies], split)
        for split in artifact_utils.decode_split_names(anomalies.split_names)
    }
    checks = example_anomalies.checks({split: Path(uri) for split, uri in uris.items()})
    verdict = Verdict(gate="data", checks=(*checks, *Verdict.load(Path(balance.uri)).checks))
    if not verdict.passed:
        raise GateRefusedError(verdict)
    # The Trainer's hyperparameters are the only file of their folder: TFX reads "the" file in it.
    folder = Path(accepted.uri)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(Path(balance.uri) / "balance.json", folder / "accepted.json")
    accepted.set_string_custom_property("role", ACCEPTED_ROLE)
    data_version = json.loads((folder / "accepted.json").read_text())["data_version"]
    accepted.set_string_custom_property("data_version", data_version)


class LatestAcceptedStrategy(resolver.ResolverStrategy):
    """Picks the newest accepted data of another version than the present one: the baseline for drift.

    The latest statistics would be the wrong baseline: a refused data set would then become the norm its successor is
    compared with.
    Another version, because a data set has not drifted from itself, and because a second run on the
    same data must find the same baseline as the first: only then can it be answered from the cache.
    """

    def __init__(self, data_version: str) -> None:
        self._data_version = data_version

    def resolve_artifacts(self, store: Any, input_dict: dict[str, list[Any]]) -> dict[str, list[Any]]:
        """Return at most one artifact a channel, and none rather than an error on a first run."""
        del store
        return {
            key: sorted(filter(self._is_baseline, artifacts), key=lambda item: item.id)[-1:]
            for key, artifacts in input_dict.items()
        }

    def _is_baseline(self, artifact: Any) -> bool:
        if artifact.get_string_custom_property("role") != ACCEPTED_ROLE:
            return False
        version: str = artifact.get_string_custom_property("data_version")
        return version != self._data_version

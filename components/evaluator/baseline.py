"""Finds the model blessed before on the same data: the baseline whose AUC the candidate is held against."""

from __future__ import annotations

from typing import Any

from tfx.dsl.components.common import resolver

RUN_KEY = "run_key"
# On the blessing: the version the model was compared with.
BASELINE_VERSION = "baseline_version"


class BlessedBeforeStrategy(resolver.ResolverStrategy):
    """Picks the newest blessed model that another configuration made of the same data version.

    TFX's own LatestBlessedModelStrategy would, on a second run, hold a model against itself, and
    measure everything again to do so. A model of another data version is left out: ingest deals every
    lesion anew, so that it may have been trained on this test split, and nothing honest could pass it.
    """

    def __init__(self, run_key: str) -> None:
        self._run_key = run_key

    def resolve_artifacts(self, store: Any, input_dict: dict[str, list[Any]]) -> dict[str, list[Any]]:
        """Return one model and its blessing, or neither on a first run."""
        del store
        models = {item.id: item for item in input_dict["model"]}
        for blessing in sorted(input_dict["model_blessing"], key=lambda item: item.id, reverse=True):
            if not blessing.get_int_custom_property("blessed"):
                continue
            key = blessing.get_string_custom_property(RUN_KEY)
            if key == self._run_key or _data_version(key) != _data_version(self._run_key):
                continue
            model = models.get(blessing.get_int_custom_property("current_model_id"))
            if model is not None:
                return {"model": [model], "model_blessing": [blessing]}
        return {"model": [], "model_blessing": []}


def _data_version(run_key: str) -> str:
    return run_key.rpartition(".")[2]

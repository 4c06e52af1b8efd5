"""Finds the data accepted before: the baseline for drift.

The latest statistics would be the wrong baseline: a refused data set would then become the norm
its successor is compared with. On a first run there is none, which is not an error here.
"""

from __future__ import annotations

from typing import Any

from tfx.dsl.components.common import resolver

from components.gate.component import ACCEPTED_ROLE


class LatestAcceptedStrategy(resolver.ResolverStrategy):
    """Picks the newest accepted data of another version than the present one.

    Another version, because a data set has not drifted from itself, and because a second run on the
    same data must find the same baseline as the first: only then can it be answered from the cache.
    """

    def __init__(self, data_version: str) -> None:
        self._data_version = data_version

    def resolve_artifacts(self, store: Any, input_dict: dict[str, list[Any]]) -> dict[str, list[Any]]:
        """Return at most one artifact a channel, and none rather than an error on a first run."""
        del store
        return {
            key: sorted((item for item in artifacts if self._is_baseline(item)), key=lambda item: item.id)[
                -1:
            ]
            for key, artifacts in input_dict.items()
        }

    def _is_baseline(self, artifact: Any) -> bool:
        if artifact.get_string_custom_property("role") != ACCEPTED_ROLE:
            return False
        version: str = artifact.get_string_custom_property("data_version")
        return version != self._data_version

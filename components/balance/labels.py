"""Counts labels and judges their balance: the pure part of the class balance step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pydantic import BaseModel, ConfigDict, Field
from tensorflow_metadata.proto.v0 import statistics_pb2

from components.balance.config import BalanceConfig
from core.features import TARGET
from core.records.verdict import Check, at_least, at_most


class LabelCounts(BaseModel):
    """Images of each label in one split."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    negatives: int = Field(ge=0)
    positives: int = Field(ge=0)

    @property
    def images(self) -> int:
        """All images of the split."""
        return self.negatives + self.positives

    @property
    def positive_share(self) -> float:
        """Positives per image, 0 for an empty split."""
        return self.positives / self.images if self.images else 0.0


def count(statistics: statistics_pb2.DatasetFeatureStatisticsList) -> LabelCounts:
    """Read the label counts out of TFDV statistics of one split.

    Raises:
        ValueError: the statistics hold no histogram of the label (is it categorical in the schema?).
    """
    for feature in statistics.datasets[0].features:
        if list(feature.path.step) == [TARGET] or feature.name == TARGET:
            buckets = {
                bucket.label: int(bucket.sample_count)
                for bucket in feature.string_stats.rank_histogram.buckets
            }
            if not buckets:
                break
            unknown = set(buckets) - {"0", "1"}
            if unknown:
                raise ValueError(
                    f"{TARGET} holds {sorted(unknown)}; valid are 0 and 1: ingest the data again"
                )
            return LabelCounts(negatives=buckets.get("0", 0), positives=buckets.get("1", 0))
    raise ValueError(
        f"the statistics hold no value histogram of {TARGET}; the schema must declare it categorical "
        "(int_domain with is_categorical: true)"
    )


def checks(
    config: BalanceConfig, counts: Mapping[str, LabelCounts], accepted: Mapping[str, LabelCounts] | None
) -> Iterable[Check]:
    """Yield the checks of each split: enough positives, a plausible share, no jump since ``accepted``."""
    for split, labels in counts.items():
        where = f"split:{split}"
        detail = f"{labels.positives} of {labels.images} images are positive"
        yield at_least("positives", labels.positives, config.min_positives, where, detail)
        share = labels.positive_share
        yield at_least("positive_share", share, config.min_positive_share, where, detail)
        yield at_most("positive_share", share, config.max_positive_share, where, detail)
        if accepted and split in accepted:
            before = accepted[split].positive_share
            yield at_most(
                "positive_share_drift",
                abs(share - before),
                config.max_share_drift,
                where,
                f"{before:.2%} in the data accepted last, {share:.2%} now",
            )

"""Counts labels and judges their balance: the pure part of the class balance step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pydantic import Field
from tensorflow_metadata.proto.v0 import statistics_pb2

from components.balance.config import BalanceConfig
from core.features import TARGET
from core.records.verdict import Check, at_least, at_most
from core.settings import Frozen

_EMPTY = (
    "the split is empty: every group (patient, lesion or image) lies in one split, and there were too few for all; "
    "ingest more data, or with other --fractions"
)


class LabelCounts(Frozen):
    """Images of each label in one split."""

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
    if not statistics.datasets or (
        not statistics.datasets[0].num_examples and not statistics.datasets[0].features
    ):
        return LabelCounts(negatives=0, positives=0)
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
        f"the statistics lack the value histogram of {TARGET}; the schema must declare it categorical "
        "(int_domain with is_categorical: true)"
    )


def checks(
    config: BalanceConfig, counts: Mapping[str, LabelCounts], accepted: Mapping[str, LabelCounts] | None
) -> Iterable[Check]:
    """Yield the checks of each split: enough positives, a plausible share, no jump since ``accepted``."""
    for split, labels in counts.items():
        where = f"split:{split}"
        if not labels.images:
            yield at_least("images", 0, 1, where, _EMPTY)
            continue
        detail = f"{labels.positives} of {labels.images} images are positive"
        yield at_least(
            "positives",
            labels.positives,
            config.min_positives,
            where,
            detail,
            setting="balance.min_positives",
        )
        share = labels.positive_share
        yield at_least(
            "positive_share",
            share,
            config.min_positive_share,
            where,
            detail,
            setting="balance.min_positive_share",
        )
        yield at_most(
            "positive_share",
            share,
            config.max_positive_share,
            where,
            detail,
            setting="balance.max_positive_share",
        )
        if accepted and split in accepted:
            yield _drift(config, where, accepted[split], "in the data accepted last", labels, "now")


def span_checks(config: BalanceConfig, spans: Sequence[LabelCounts]) -> Iterable[Check]:
    """Yield the check of the newest span against those before it, where there are enough images to judge.

    ``spans`` are the labels of each span, over all splits, oldest first.
    """
    if len(spans) < 2 or spans[-1].images < config.min_span_images:
        return
    newest = spans[-1]
    before = LabelCounts(
        negatives=sum(one.negatives for one in spans[:-1]), positives=sum(one.positives for one in spans[:-1])
    )
    yield _drift(config, f"span:{len(spans)}", before, "in the spans before", newest, "in this one")


def _drift(
    config: BalanceConfig, where: str, before: LabelCounts, there: str, now: LabelCounts, here: str
) -> Check:
    old, new = before.positive_share, now.positive_share
    detail = f"{old:.2%} {there}, {new:.2%} {here}"
    return at_most(
        "positive_share_drift",
        abs(new - old),
        config.max_share_drift,
        where,
        detail,
        setting="balance.max_share_drift",
    )

"""Images of a data set by sex, age, site, diagnosis and source, as the class balance step counted them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from core.features import AGE_BAND, UNKNOWN


@dataclass(frozen=True)
class Groups:
    """Counts of a data set.

    Attributes:
        counts: [other lesions, melanomas] by split, group and value, as `balance.json` has them.
    """

    counts: dict[str, dict[str, dict[str, list[int]]]]

    @property
    def names(self) -> list[str]:
        """The groups, in the order they were counted."""
        return list(dict.fromkeys(name for groups in self.counts.values() for name in groups))

    def values(self, group: str) -> list[str]:
        """Return the values of a group, the most frequent first, unknown last; age bands by age."""
        totals: Counter[str] = Counter()
        for groups in self.counts.values():
            for value, labels in groups.get(group, {}).items():
                totals[value] += sum(labels)
        if group == AGE_BAND:
            return sorted(totals, key=lambda value: (value == UNKNOWN, not value.startswith("under"), value))
        return sorted(totals, key=lambda value: (value == UNKNOWN, -totals[value], value))

    def labels(self, group: str, value: str, splits: Collection[str]) -> tuple[int, int]:
        """Return other lesions and melanomas of one value of a group."""
        found = [
            groups.get(group, {}).get(value, [0, 0])
            for split, groups in self.counts.items()
            if split in splits
        ]
        return sum(labels[0] for labels in found), sum(labels[1] for labels in found)

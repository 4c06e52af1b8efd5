"""Divides images into splits: by whole groups, evenly over labels, the same way every time."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Member:
    """One image, as far as splitting goes.

    Attributes:
        group: what must not be divided.
        target: 1 is positive.
        stratum: what else is to be spread evenly, for example the diagnosis.
    """

    group: str
    target: int
    stratum: str


def split(members: Sequence[Member], fractions: Mapping[str, float], seed: int) -> dict[str, str]:
    """Return the split of every group.

    Groups are dealt out one by one, the rarest stratum first, big groups before small ones, each to the split that
    is emptiest for its size (Webster's apportionment: least (n + size / 2) / fraction), counted for its stratum and
    for its label. Then every split that got none of a label takes the smallest group that has it from the split with
    most of them, as long as there are enough groups. Depends on the groups and the seed alone, not on the order.

    Args:
        members: the images.
        fractions: share of each split, in order of preference.
        seed: another seed deals groups of equal size in another order.
    """
    labels: dict[str, Counter[str]] = defaultdict(Counter)
    for member in members:
        labels[member.group][f"target {member.target}"] += 1
        labels[member.group][f"stratum {member.target} {member.stratum}"] += 1
    totals: Counter[str] = sum(labels.values(), Counter())
    dealt: dict[str, Counter[str]] = {name: Counter() for name in fractions}
    placed: dict[str, str] = {}

    def rank(group: str) -> tuple[int, int, str]:
        rarest = min(totals[label] for label in labels[group])
        return rarest, -sum(labels[group].values()), _shuffled(seed, group)

    for group in sorted(labels, key=rank):
        mine = labels[group]

        def fill(name: str, mine: Counter[str] = mine) -> float:
            return sum(
                (dealt[name][label] + mine[label] / 2) / (fractions[name] * totals[label]) for label in mine
            )

        chosen = min(fractions, key=fill)
        placed[group] = chosen
        dealt[chosen].update(mine)
    for label in ("target 1", "target 0"):
        _spread(label, labels, placed, fractions, seed)
    return placed


def _spread(
    label: str,
    labels: Mapping[str, Counter[str]],
    placed: dict[str, str],
    fractions: Mapping[str, float],
    seed: int,
) -> None:
    """Give every split a group with ``label`` where there are at least as many groups as splits."""
    having = sorted(
        (group for group in placed if labels[group][label]), key=lambda group: _shuffled(seed, group)
    )
    if len(having) < len(fractions):
        return
    for name in fractions:
        groups = Counter(placed[group] for group in having)
        if groups[name]:
            continue
        richest = max(fractions, key=lambda other: groups[other])
        smallest = min(
            (group for group in having if placed[group] == richest), key=lambda g: labels[g].total()
        )
        placed[smallest] = name


def _shuffled(seed: int, group: str) -> str:
    return hashlib.sha256(f"{seed}\0{group}".encode()).hexdigest()

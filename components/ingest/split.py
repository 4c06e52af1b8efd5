"""Divides images into splits: by whole groups, evenly over labels, and for good."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

# A group with more images than this share of the smallest split is dealt by itself: it would overfill that split.
_BIG: Final = 0.5


@dataclass(frozen=True, slots=True)
class Member:
    """One image, as far as splitting goes."""

    group: str  # what must not be divided
    target: int  # 1 is positive
    stratum: str  # what else is to be spread evenly, for example the diagnosis


def split(
    members: Sequence[Member],
    fractions: Mapping[str, float],
    seed: int,
    dealt: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the split of every group.

    A group that was dealt before stays where it is. The others of each stratum (label and diagnosis, a group counts
    for its rarest) are ordered by a hash of their names, and cut where the splits still lack images: so with more data
    only groups near a cut may come out elsewhere, and with ``dealt`` none. Then every split that got none of a label
    takes the smallest new group that has it from the split with most of them, as long as there are enough groups.
    Depends on the groups and the seed alone, not on the order.

    Args:
        members: the images, those dealt before among them.
        fractions: share of each split, in order of preference.
        seed: another seed orders the groups otherwise.
        dealt: split of the groups that were dealt before.
    """
    labels: dict[str, Counter[str]] = defaultdict(Counter)
    for member in members:
        labels[member.group][f"target {member.target}"] += 1
        labels[member.group][f"stratum {member.target} {member.stratum}"] += 1
    totals: Counter[str] = sum(labels.values(), Counter())
    placed = {group: name for group, name in (dealt or {}).items() if group in labels}
    fixed = frozenset(placed)
    strata: dict[str, list[str]] = defaultdict(list)
    for group, mine in labels.items():
        strata[min((label for label in mine if label.startswith("stratum")), key=lambda one: (totals[one], one))].append(group)  # fmt: skip
    for stratum in sorted(strata, key=lambda one: (totals[one], one)):
        sizes = {group: labels[group].total() // 2 for group in strata[stratum]}
        placed.update(_deal(sizes, placed, fractions, seed))
    for label in ("target 1", "target 0"):
        _spread(label, labels, placed, fixed, fractions, seed)
    return placed


def _deal(
    sizes: Mapping[str, int], placed: Mapping[str, str], fractions: Mapping[str, float], seed: int
) -> dict[str, str]:
    """Deal the groups of one stratum that have no split yet."""
    there = Counter[str]()
    for group, size in sizes.items():
        if group in placed:
            there[placed[group]] += size
    total = sum(sizes.values())
    lacking = {name: max(0.0, share * total - there[name]) for name, share in fractions.items()}
    new = sorted((group for group in sizes if group not in placed), key=lambda group: shuffled(seed, group))
    smallest = min(fractions.values()) * total
    dealt: dict[str, str] = {}
    for group in sorted(new, key=lambda one: (-sizes[one], shuffled(seed, one))):
        if sizes[group] > max(1.0, _BIG * smallest):
            name = max(lacking, key=lambda one: lacking[one])
            dealt[group] = name
            lacking[name] = max(0.0, lacking[name] - sizes[group])
    rest = [group for group in new if group not in dealt]
    images = sum(sizes[group] for group in rest)
    scale = images / (sum(lacking.values()) or 1.0)
    edges = list(accumulate(lacking[name] * scale for name in fractions))
    names, before = list(fractions), 0
    for group in rest:
        middle = before + sizes[group] / 2
        dealt[group] = next(
            (name for name, edge in zip(names, edges, strict=True) if middle < edge), names[0]
        )
        before += sizes[group]
    return dealt


def _spread(
    label: str,
    labels: Mapping[str, Counter[str]],
    placed: dict[str, str],
    fixed: frozenset[str],
    fractions: Mapping[str, float],
    seed: int,
) -> None:
    """Give every split a new group with ``label`` where there are at least as many groups as splits."""
    having = sorted(
        (group for group in placed if labels[group][label]), key=lambda group: shuffled(seed, group)
    )
    if len(having) < len(fractions):
        return
    for name in fractions:
        groups = Counter(placed[group] for group in having)
        if groups[name]:
            continue
        movable = Counter(
            placed[group] for group in having if group not in fixed and groups[placed[group]] > 1
        )
        if not movable:
            continue
        richest = max(fractions, key=lambda other: movable[other])
        smallest = min(
            (group for group in having if placed[group] == richest and group not in fixed),
            key=lambda group: labels[group].total(),
        )
        placed[smallest] = name


def shuffled(seed: int, group: str) -> str:
    """Return the place of a group in the order that a seed makes."""
    return hashlib.sha256(f"{seed}\0{group}".encode()).hexdigest()

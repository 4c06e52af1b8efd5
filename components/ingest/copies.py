"""Finds copies among checked images: what is refused, what must stay together, and what was dealt before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence, Set
from dataclasses import dataclass, field

import numpy as np

from components.ingest import fingerprint
from components.ingest.check import Outcome
from components.ingest.dealt import Dealt
from components.ingest.errors import IngestError
from components.ingest.row import Refusal, Row
from core.features import SPLITS

Checked = tuple[Row, Outcome]


@dataclass(frozen=True, slots=True)
class Resolved:
    """Checked images without copies."""

    # What is written, each with the pseudonymous key of its group, ordered by source and name.
    kept: list[tuple[Row, Outcome, str]]
    refusals: list[Refusal]  # copies, conflicts, and what ties different splits together
    near_pairs: int  # pairs of kept images that are nearly the same
    near_images: int  # how many images are in such a pair
    dealt: dict[str, str] = field(default_factory=dict)  # split of each group that was dealt before


def resolve(
    checked: Sequence[Checked],
    limit: int,
    *,
    before: Sequence[Dealt] = (),
    adding: bool = False,
    same_lesion: Sequence[tuple[str, str]] = (),
) -> Resolved:
    """Refuse byte-identical copies and contradictions, and group what belongs together.

    Of byte-identical images the first by source and name is kept; if their labels differ, all are refused, and so
    are both of two near-copies whose labels differ. A group is a patient, else a lesion, else an image, joined with
    the groups of all its copies and near-copies, the refused ones too. What was dealt before stays in its split: an
    image that ties two splits together is refused.

    Args:
        checked: in any order.
        limit: near-copies' hashes differ in at most this many bits.
        before: what was dealt before.
        adding: whether that stays in the data, so that its copies are refused.
        same_lesion: pairs of image names that are known to show one lesion.
    """
    ordered = sorted(checked, key=lambda pair: (pair[0].source, pair[0].image_name))
    unique, refusals = _identical(ordered, before if adding else ())
    hashes = {outcome.sha256 for _, outcome in unique}
    others = [one for one in before if one.sha256 not in hashes]
    near = _near(unique, others, limit)
    against = _contradictions(unique, others if adding else [], near)
    near_ties: dict[str, list[str]] = defaultdict(list)
    shas = [outcome.sha256 for _, outcome in unique] + [one.sha256 for one in others]
    for i, j in near:
        near_ties[shas[i]].append(_own_key(shas[j]))
    groups = _Groups(before)
    divided = _divided(groups, _named(ordered, before, same_lesion), {_own_key(sha) for sha in hashes})
    known = {one.sha256 for one in before}
    bridging = {
        id(row): divided[_own_key(outcome.sha256)]
        for row, outcome in unique
        if _own_key(outcome.sha256) in divided
    }
    # What was dealt before goes first: it has its place.
    for row, outcome in sorted(ordered, key=lambda pair: pair[1].sha256 not in known):
        splits = groups.tie((*keys(row, outcome), *near_ties[outcome.sha256]))
        if splits and id(row) not in bridging:
            bridging[id(row)] = f"it ties together what lies in {' and '.join(sorted(splits))}"
    refusals += [Refusal.of(unique[index][0], "label_conflict", detail) for index, detail in against.items()]
    kept: dict[int, Checked] = {}
    for index, (row, outcome) in enumerate(unique):
        if index not in against and id(row) in bridging:
            refusals.append(Refusal.of(row, "between_splits", bridging[id(row)]))
        elif index not in against:
            kept[index] = row, outcome
    names = groups.names([_primary(*pair) for pair in ordered])
    indices = kept.keys() | set(range(len(unique), len(shas)))
    pairs = [(i, j) for i, j in near if i in indices and j in indices]
    return Resolved(
        kept=[(row, outcome, names[groups.root(_own_key(outcome.sha256))]) for row, outcome in kept.values()],
        refusals=refusals,
        near_pairs=len(pairs),
        near_images=len({index for pair in pairs for index in pair if index < len(unique)}),
        dealt={
            names[groups.root(key)]: place
            for _, outcome in kept.values()
            if (place := groups.split(key := _own_key(outcome.sha256))) is not None
        },
    )


def keys(row: Row, outcome: Outcome) -> tuple[str, ...]:
    """What ties an image to others: its patient and its lesion, and its own bytes."""
    ties = (("patient", row.patient), ("lesion", row.lesion))
    return (*(f"{kind}:{key}" for kind, key in ties if key), _own_key(outcome.sha256))


def _own_key(sha256: str) -> str:
    return f"image:{sha256[:20]}"


def _primary(row: Row, outcome: Outcome) -> tuple[str, ...]:
    """What a group may be called after: patients and lesions; an image only where it has neither."""
    ties = keys(row, outcome)
    return ties[:-1] or ties


class _Groups:
    """What must stay together (disjoint sets of ties, each alone when it is first named), and in which split it is."""

    def __init__(self, before: Sequence[Dealt]) -> None:
        self._parent: dict[str, str] = {}
        for one in before:
            self._join((*one.ties, f"group:{one.group}"))
        self._split: dict[str, str] = {}
        self._name: dict[str, str] = {}
        for one in before:
            root = self.root(one.ties[0])
            self._split[root] = one.split
            self._name[root] = min(self._name.get(root, "~"), one.group)

    def tie(self, ties: Sequence[str]) -> set[str]:
        """Join the sets of ``ties``; where their places are in different splits, join nothing and return these."""
        roots = {self.root(tie) for tie in ties}
        splits = {self._split[root] for root in roots if root in self._split}
        if len(splits) > 1:
            return splits
        names = [self._name[root] for root in roots if root in self._name]
        root = self._join(ties)
        if splits:
            self._split[root], self._name[root] = next(iter(splits)), min(names)
        return set()

    def root(self, tie: str) -> str:
        """The tie that stands for the set of ``tie``."""
        parent = self._parent.setdefault(tie, tie)
        while parent != self._parent[parent]:
            self._parent[parent] = self._parent[self._parent[parent]]
            parent = self._parent[parent]
        self._parent[tie] = parent
        return parent

    def _join(self, ties: Sequence[str]) -> str:
        for tie in ties:
            self._parent[self.root(ties[0])] = self.root(tie)
        return self.root(ties[0])

    def split(self, tie: str) -> str | None:
        """Where the set of ``tie`` has its place, None where it has none yet."""
        return self._split.get(self.root(tie))

    def names(self, ties: Sequence[tuple[str, ...]]) -> dict[str, str]:
        """The name of each set: the one it had, else its smallest key, whatever the order of merging was."""
        rank = ("patient", "lesion", "image").index
        names: dict[str, tuple[int, str]] = {}
        for key in (key for one in ties for key in one):
            kind, _, name = key.partition(":")
            root = self.root(key)
            names[root] = min(names.get(root, (9, "")), (rank(kind), name))
        return {root: self._name.get(root, name) for root, (_, name) in names.items()}


def _named(
    ordered: Sequence[Checked], before: Sequence[Dealt], same_lesion: Sequence[tuple[str, str]]
) -> list[tuple[str, str]]:
    """The pairs of images that are known to show one lesion and are both there, by their own keys."""
    if not same_lesion:
        return []
    own = {one.name: _own_key(one.sha256) for one in before}
    own.update((row.image_name, _own_key(outcome.sha256)) for row, outcome in ordered)
    return [(own[a], own[b]) for a, b in same_lesion if a in own and b in own]


def _divided(groups: _Groups, pairs: Sequence[tuple[str, str]], present: Set[str]) -> dict[str, str]:
    """Join the images of each pair; where they were dealt into different splits, name the one that is refused, and why.

    It is the one in train, else in eval: what is tested stays.

    Raises:
        IngestError: that one is in an earlier span, which is not written again.
    """
    refused: dict[str, str] = {}
    for pair in pairs:
        if not groups.tie(pair):
            continue
        first, second = sorted(pair, key=lambda key: SPLITS.index(groups.split(key) or SPLITS[0]))
        where = f"{groups.split(first)} and {groups.split(second)}"
        if first not in present:
            raise IngestError(
                f"two images of one lesion lie in {where} of earlier spans ({first}, {second} in splits.csv, by their "
                "bytes): leave the pair out, or ingest all the data again with it, which keeps one of them"
            )
        refused[first] = f"it shows one lesion with another image, and they lie in {where}"
    return refused


def _identical(ordered: Sequence[Checked], before: Sequence[Dealt]) -> tuple[list[Checked], list[Refusal]]:
    there = {one.sha256: one for one in before if one.span}
    by_bytes: dict[str, list[Checked]] = defaultdict(list)
    for row, outcome in ordered:
        by_bytes[outcome.sha256].append((row, outcome))
    unique: list[Checked] = []
    refusals: list[Refusal] = []
    for sha256, same in by_bytes.items():
        first = same[0][0]
        labels = [(f"{row.source}/{row.image_name}", row.target) for row, _ in same]
        copied, detail = same[1:], f"same bytes as {first.source}/{first.image_name}"
        if sha256 in there:
            old = there[sha256]
            labels.append((old.name, old.target))
            copied, detail = same, f"same bytes as {old.name}, which is in span {old.span}"
        if len({label for _, label in labels}) > 1:
            names = ", ".join(f"{name}: {label}" for name, label in labels[:5])
            refusals += [
                Refusal.of(row, "label_conflict", f"same bytes, other target: {names}") for row, _ in same
            ]
            continue
        unique += same[:1] if sha256 not in there else []
        refusals += [Refusal.of(row, "duplicate", detail) for row, _ in copied]
    return unique, refusals


def _near(unique: list[Checked], others: Sequence[Dealt], limit: int) -> list[tuple[int, int]]:
    """Pairs of near-copies, one of them new at least; the others count on from the new ones."""
    prints = [outcome.fingerprint for _, outcome in unique] + [one.fingerprint for one in others]
    hashes = np.frombuffer(bytes.fromhex("".join(prints)), np.uint8).reshape(-1, fingerprint.BYTES)
    return [(i, j) for i, j in fingerprint.near_pairs(hashes, limit).tolist() if i < len(unique)]


def _contradictions(
    unique: list[Checked], others: Sequence[Dealt], near: Sequence[tuple[int, int]]
) -> dict[int, str]:
    """New images whose near-copy has another label, and what contradicts them."""
    labels = [
        (f"{row.source}/{row.image_name}", row.target, outcome.fingerprint) for row, outcome in unique
    ] + [(one.name, one.target, one.fingerprint) for one in others]
    against: dict[int, str] = {}
    for i, j in near:
        if j >= len(labels) or labels[i][1] == labels[j][1]:
            continue
        for one, other in ((i, j), (j, i)):
            if one < len(unique):
                bits = fingerprint.distance(bytes.fromhex(labels[one][2]), bytes.fromhex(labels[other][2]))
                against.setdefault(
                    one,
                    f"target {labels[one][1]}, but {labels[other][0]} with target {labels[other][1]} is nearly the "
                    f"same picture ({bits} of {fingerprint.BITS} bits differ)",
                )
    return against

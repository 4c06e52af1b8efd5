"""Finds copies among checked images: what is refused, and what must stay together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from components.ingest import fingerprint
from components.ingest.check import Outcome
from components.ingest.row import Refusal, Row
from components.ingest.union_find import UnionFind

Checked = tuple[Row, Outcome]


@dataclass(frozen=True, slots=True)
class Resolved:
    """Checked images without copies.

    Attributes:
        kept: what is written, each with the pseudonymous key of its group, ordered by source and name.
        refusals: copies and conflicts.
        near_pairs: pairs of kept images that are nearly the same.
        near_images: how many images are in such a pair.
    """

    kept: list[tuple[Row, Outcome, str]]
    refusals: list[Refusal]
    near_pairs: int
    near_images: int


def resolve(checked: Sequence[Checked], limit: int) -> Resolved:
    """Refuse byte-identical copies and contradictions, and group what belongs together.

    Of byte-identical images the first by source and name is kept; if their labels differ, all are refused, and so
    are both of two near-copies whose labels differ. A group is a patient, else a lesion, else an image, joined with
    the groups of all its copies and near-copies, the refused ones too.

    Args:
        checked: images with their rows, in any order.
        limit: near-copies' hashes differ in at most this many bits.
    """
    ordered = sorted(checked, key=lambda pair: (pair[0].source, pair[0].image_name))
    groups = UnionFind()
    for row, outcome in ordered:
        for key in keys(row):
            groups.union(keys(row)[0], key)
        groups.union(keys(row)[0], f"bytes:{outcome.sha256}")
    unique, refusals = _identical(ordered)
    kept, conflicts, pairs = _similar(unique, limit, groups)
    # The group is called after its smallest key, so that the name does not depend on the order of merging.
    names: dict[object, str] = {}
    for row, _ in ordered:
        root = groups.find(keys(row)[0])
        names[root] = min(names.get(root, "~"), *keys(row))
    return Resolved(
        kept=[(row, outcome, names[groups.find(keys(row)[0])].partition(":")[2]) for row, outcome in kept],
        refusals=refusals + conflicts,
        near_pairs=len(pairs),
        near_images=len({index for pair in pairs for index in pair}),
    )


def keys(row: Row) -> tuple[str, ...]:
    """What ties a row to others: its patient and its lesion, else its own name."""
    ties = tuple(f"{kind}:{key}" for kind, key in (("patient", row.patient), ("lesion", row.lesion)) if key)
    return ties or (f"image:{row.image_key}",)


def _identical(ordered: Sequence[Checked]) -> tuple[list[Checked], list[Refusal]]:
    by_bytes: dict[str, list[Checked]] = defaultdict(list)
    for row, outcome in ordered:
        by_bytes[outcome.sha256].append((row, outcome))
    unique: list[Checked] = []
    refusals: list[Refusal] = []
    for same in by_bytes.values():
        first = same[0][0]
        if len({row.target for row, _ in same}) > 1:
            names = ", ".join(f"{row.source}/{row.image_name}: {row.target}" for row, _ in same[:5])
            refusals += [
                Refusal.of(row, "label_conflict", f"same bytes, other target: {names}") for row, _ in same
            ]
            continue
        unique.append(same[0])
        detail = f"same bytes as {first.source}/{first.image_name}"
        refusals += [Refusal.of(row, "duplicate", detail) for row, _ in same[1:]]
    return unique, refusals


def _similar(
    unique: list[Checked], limit: int, groups: UnionFind
) -> tuple[list[Checked], list[Refusal], list[tuple[int, int]]]:
    hashes = np.frombuffer(bytes.fromhex("".join(outcome.fingerprint for _, outcome in unique)), np.uint8)
    near = fingerprint.near_pairs(hashes.reshape(-1, fingerprint.BYTES), limit)
    against: dict[int, int] = {}
    for i, j in near.tolist():
        groups.union(keys(unique[i][0])[0], keys(unique[j][0])[0])
        if unique[i][0].target != unique[j][0].target:
            against.setdefault(i, j)
            against.setdefault(j, i)
    refusals: list[Refusal] = []
    for index, other in sorted(against.items()):
        (row, outcome), (that, its) = unique[index], unique[other]
        bits = fingerprint.distance(bytes.fromhex(outcome.fingerprint), bytes.fromhex(its.fingerprint))
        detail = (
            f"target {row.target}, but {that.source}/{that.image_name} with target {that.target} is nearly the same "
            f"picture ({bits} of {fingerprint.BITS} bits differ)"
        )
        refusals.append(Refusal.of(row, "label_conflict", detail))
    pairs = [(i, j) for i, j in near.tolist() if i not in against and j not in against]
    return [pair for index, pair in enumerate(unique) if index not in against], refusals, pairs

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from components.ingest.split import Member, split

FRACTIONS = {"train": 0.70, "eval": 0.15, "test": 0.15}


def _count(members: list[Member], placed: dict[str, str], target: int | None = None) -> Counter[str]:
    return Counter(placed[m.group] for m in members if target is None or m.target == target)


def test_the_size_of_isic_2020_and_2019_together() -> None:
    rng = random.Random(1)
    members = [
        Member(
            f"g{rng.randrange(16_000)}",
            int(n < 4_922),
            "mel" if n < 4_922 else rng.choice(["nv", "bkl", "bcc", ""]),
        )
        for n in range(57_224)
    ]
    placed = split(members, FRACTIONS, 2020)
    images, positives = _count(members, placed), _count(members, placed, 1)
    for name, fraction in FRACTIONS.items():
        assert abs(images[name] / 57_224 - fraction) < 0.005
        assert abs(positives[name] / 4_922 - fraction) < 0.01


def test_sixty_images_with_three_melanomas_give_each_split_one() -> None:
    members = [Member(f"g{n}", int(n < 3), "mel" if n < 3 else "nv") for n in range(60)]
    placed = split(members, FRACTIONS, 7)
    assert _count(members, placed, 1) == {"train": 1, "eval": 1, "test": 1}
    assert _count(members, placed)["train"] in {41, 42, 43}


def test_a_rare_diagnosis_is_spread_too() -> None:
    members = [Member(f"g{n}", 0, "df" if n < 20 else "nv") for n in range(400)]
    placed = split(members, FRACTIONS, 0)
    rare = Counter(placed[m.group] for m in members if m.stratum == "df")
    assert rare == {"train": 14, "eval": 3, "test": 3}


def test_one_huge_patient_does_not_drown_a_small_split() -> None:
    members = [Member("huge", 0, "nv")] * 200 + [Member(f"g{n}", n % 2, "x") for n in range(200)]
    placed = split(members, FRACTIONS, 0)
    assert placed["huge"] == "train"


def test_another_seed_deals_otherwise() -> None:
    members = [Member(f"g{n}", n % 2, "x") for n in range(100)]
    assert split(members, FRACTIONS, 1) != split(members, FRACTIONS, 2)


@settings(max_examples=60, deadline=None)
@given(
    groups=st.lists(
        st.tuples(st.integers(1, 6), st.integers(0, 1), st.sampled_from(["a", "b", "c"])),
        min_size=1,
        max_size=60,
    ),
    seed=st.integers(0, 1000),
)
def test_every_group_is_placed_once_whatever_the_order(groups: list[tuple[int, int, str]], seed: int) -> None:
    members = [
        Member(f"g{index}", target, stratum)
        for index, (size, target, stratum) in enumerate(groups)
        for _ in range(size)
    ]
    placed = split(members, FRACTIONS, seed)
    assert set(placed) == {member.group for member in members}
    assert set(placed.values()) <= set(FRACTIONS)
    shuffled = members[:]
    random.Random(seed).shuffle(shuffled)
    assert split(shuffled, FRACTIONS, seed) == placed
    for target in (0, 1):
        having = {member.group for member in members if member.target == target}
        reached = {placed[group] for group in having}
        assert len(reached) == min(3, len(having)) or len(having) < 3

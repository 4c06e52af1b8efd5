from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from components.ingest import pool as pools
from components.ingest.check import CheckJob
from components.ingest.picture import Limits
from components.ingest.pool import Pool

LIMITS = Limits(10_000_000, 50_000_000, 48, None, 95)
# A worker whose decoder crashes, or hangs, on files with such names, as a decoder written in C may.
FRAGILE = """
import os, sys, threading
from components.ingest import check, worker
real = check._one
def fragile(number, file, job):
    if "crash" in file:
        os._exit(139)
    if "hang" in file:
        threading.Event().wait()
    return real(number, file, job)
check._one = fragile
worker.main()
"""


@pytest.fixture
def files(tmp_path: Path, photo: Callable[..., Image.Image]) -> Callable[..., CheckJob]:
    def make(*names: str) -> CheckJob:
        for index, name in enumerate(names):
            photo(index).save(tmp_path / name, quality=90)
        return CheckJob(
            tuple((n, str(tmp_path / name)) for n, name in enumerate(names)), LIMITS, str(tmp_path)
        )

    return make


@pytest.fixture
def fragile(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[float], Pool]]:
    opened: list[Pool] = []
    monkeypatch.setattr(pools, "COMMAND", (sys.executable, "-c", FRAGILE))
    monkeypatch.setattr(pools, "_TIMEOUT_PER_FILE", 0.0)

    def make(timeout: float) -> Pool:
        opened.append(Pool(1, timeout))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def test_processes_and_no_processes_say_the_same(files: Callable[..., CheckJob]) -> None:
    job = files("a.jpg", "b.jpg", "c.jpg")
    here, there = Pool(0), Pool(2)
    try:
        assert there.submit(job).result() == here.submit(job).result()
    finally:
        there.close()
        here.close()


def test_a_file_that_kills_its_decoder_is_found_and_the_others_are_kept(
    files: Callable[..., CheckJob], fragile: Callable[[float], Pool]
) -> None:
    outcomes = fragile(60).submit(files("a.jpg", "crash.jpg", "b.jpg")).result()
    assert isinstance(outcomes, list)
    assert [outcome.reason for outcome in outcomes] == ["", "decoder_died", ""]
    assert "ended with code 139" in outcomes[1].detail


def test_a_file_that_hangs_its_decoder_is_given_up(
    files: Callable[..., CheckJob], fragile: Callable[[float], Pool]
) -> None:
    outcomes = fragile(2).submit(files("hang.jpg")).result()
    assert isinstance(outcomes, list)
    assert outcomes[0].reason == "decoder_died"

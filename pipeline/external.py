"""External validation data: pictures of other cameras and clinics, which nothing is fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from components.evaluator.config import ExternalData
from components.ingest import dealt, fingerprint
from components.ingest.dealt import Dealt
from components.ingest.manifest import Manifest
from core.errors import UsageError
from core.workspace import Workspace
from pipeline import data_set
from pipeline.config import RunConfig


def parse(text: str) -> ExternalData:
    """Return the data set that ``NAME:PATH`` on the command line names.

    Raises:
        UsageError: it is not of that form, or the name is not one.
    """
    name, sign, path = text.partition(":")
    if not sign or not path:
        raise UsageError(f"--external {text}: write NAME:PATH, e.g. --external isic2017:data/isic2017")
    try:
        return ExternalData(name=name, path=path)
    except ValueError:
        raise UsageError(
            f"--external {text}: {name!r} is not a name; use small letters, digits, - and _, a letter first"
        ) from None


def prepared(
    config: RunConfig, given: Sequence[str], data: Path, workspace: Workspace, console: Console
) -> RunConfig:
    """Return the configuration with every external data set ingested and its copies of images in ``data`` named.

    The configuration's own come first, then those ``given`` as ``NAME:PATH``. The caller holds the workspace's lock.

    Raises:
        UsageError: a path cannot be ingested, two data sets have one name, or one lacks a label.
    """
    sets = [*config.evaluator.external, *(parse(text) for text in given)]
    names = [one.name for one in sets]
    if len(set(names)) < len(names):
        raise UsageError(f"external data sets {', '.join(names)}: two have one name; give each its own")
    if not sets:
        return config
    own = _dealt(data, "--data")
    ready = []
    for one in sets:
        folder = data_set.ready(Path(one.path), workspace, console)
        theirs = _dealt(folder, f"external {one.name}")
        copies = copied(theirs, own, Manifest.load(data).config.near_duplicate_distance)
        left = [item.target for item in theirs if item.name not in copies]
        if len(set(left)) < 2:
            raise UsageError(
                f"external {one.name}: {sum(left)} of {len(left)} images that are not copies of ours are "
                "melanomas; both kinds are needed"
            )
        version = Manifest.load(folder).data_version
        ready.append(
            one.model_copy(
                update={
                    "folder": str(folder.resolve()),
                    "data_version": version,
                    "copies": tuple(sorted(copies)),
                }
            )
        )
    evaluator = config.evaluator.model_copy(update={"external": tuple(ready)})
    return config.model_copy(update={"evaluator": evaluator})


def copied(theirs: Sequence[Dealt], own: Sequence[Dealt], limit: int) -> set[str]:
    """Return the names of images that are copies of ours, or whose perceptual hashes differ in at most ``limit`` bits."""
    ours = {item.sha256 for item in own}
    found = {item.name for item in theirs if item.sha256 in ours}
    hashes = np.frombuffer(
        bytes.fromhex("".join(item.fingerprint for item in (*theirs, *own))), np.uint8
    ).reshape(-1, fingerprint.BYTES)
    for first, second in fingerprint.near_pairs(hashes, limit).tolist():
        if first < len(theirs) <= second:
            found.add(theirs[first].name)
    # Equal hashes are chained, not paired all with all: a copy of a copy of ours may have no pair with ours.
    prints = {item.fingerprint for item in own}
    return found | {item.name for item in theirs if item.fingerprint in prints}


def _dealt(folder: Path, what: str) -> list[Dealt]:
    found = [item for item in dealt.load(folder) if item.span]
    if not found:
        raise UsageError(
            f"{what}: {folder} has no {dealt.NAME}, which copies are found by; ingest it again with this version"
        )
    return found

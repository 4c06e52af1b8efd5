"""One smoke run on synthetic lesions, shared by all tests here: TFX's start alone costs seconds."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from components.ingest import source
from components.ingest.config import IngestConfig
from components.ingest.job import ingest
from core.workspace import Workspace
from pipeline import config
from pipeline.outcome import Outcome
from pipeline.run import execute
from pipeline.synthetic.cohort import SynthConfig, synthesise

Runner = Callable[..., tuple[Outcome, str]]


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ingested data set of 240 synthetic lesions."""
    folder = tmp_path_factory.mktemp("cohort")
    synthesise(SynthConfig(images=240, size=96, melanoma_share=0.2, masks=False), folder / "raw")
    ingest(IngestConfig(sources=(source.detect(folder / "raw"),)), folder / "data")
    return folder / "data"


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The workspace all runs of these tests share, so that their common steps come from the cache."""
    return Workspace(tmp_path_factory.mktemp("workspace") / "ws")


@pytest.fixture(scope="session")
def run(cohort: Path, workspace: Workspace) -> Runner:
    """Return a function that runs the smoke preset with overrides and returns the outcome and the output."""

    def call(data: Path | None = None, **overrides: object) -> tuple[Outcome, str]:
        stream = io.StringIO()
        settings = config.load(
            "smoke", {key.replace("__", "."): str(value) for key, value in overrides.items()}
        )
        outcome = execute(
            settings,
            preset="smoke",
            workspace=workspace,
            data=data or cohort,
            console=Console(file=stream, width=120),
        )
        return outcome, stream.getvalue()

    return call


@pytest.fixture(scope="session")
def first(run: Runner) -> tuple[Outcome, str]:
    """The first run: nothing is cached, a version is pushed."""
    return run()

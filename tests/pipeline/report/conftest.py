"""Runs of every ending, written once a session."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from core.workspace import Workspace
from pipeline.outcome import Outcome
from pipeline.report import page
from tests.support import fake_run


@dataclass(frozen=True)
class Written:
    """A run, its workspace, and its report."""

    result: Outcome
    workspace: Workspace
    report: Path

    @property
    def html(self) -> str:
        return self.report.read_text(encoding="utf-8")


def _written(root: Path, **how) -> Written:
    result, workspace = fake_run.write(root, **how)
    return Written(result, workspace, page.write(result, workspace))


@pytest.fixture(scope="session")
def pushed(tmp_path_factory) -> Written:
    return _written(tmp_path_factory.mktemp("pushed"))


@pytest.fixture(scope="session")
def refused_model(tmp_path_factory) -> Written:
    return _written(tmp_path_factory.mktemp("refused_model"), status="refused", refused="model", images=120)


@pytest.fixture(scope="session")
def refused_data(tmp_path_factory) -> Written:
    return _written(tmp_path_factory.mktemp("refused_data"), status="refused", refused="data", images=60)


@pytest.fixture(scope="session")
def failed(tmp_path_factory) -> Written:
    return _written(tmp_path_factory.mktemp("failed"), status="failed", images=60)


@pytest.fixture(params=["pushed", "refused_model", "refused_data", "failed"])
def any_ending(request) -> Written:
    return request.getfixturevalue(request.param)

"""One engine, each image built once, and one smoke run that later tests serve and look at."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.engine import CACHE, RESTRICTED, Engine, NoEngineError, Smoke, running


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """The engine with a base image; skips, saying why, where there is none."""
    try:
        with running() as found:
            found.base()
            yield found
    except NoEngineError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def pipeline_image(engine: Engine) -> str:
    """The pipeline's image."""
    return engine.build("pipeline.Dockerfile", "melanosizer-pipeline:test")


@pytest.fixture(scope="session")
def serving_image(engine: Engine) -> str:
    """The embedded server's image."""
    return engine.build("serving.Dockerfile", "melanosizer-serving:test")


@pytest.fixture(scope="session")
def dashboard_image(engine: Engine) -> str:
    """The dashboard's image."""
    return engine.build("dashboard.Dockerfile", "melanosizer-dashboard:test")


@pytest.fixture(scope="session")
def third_parties(engine: Engine) -> str:
    """nginx and rclone of Debian 13, in place of the official images that k8s/ names and that are not here."""
    folder = CACHE / "third-parties"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "Dockerfile").write_text(
        "FROM debian:trixie-slim\n"
        "RUN apt-get update && apt-get install -y --no-install-recommends nginx-light rclone"
        " && rm -rf /var/lib/apt/lists/*\n"
        "STOPSIGNAL SIGQUIT\n"
    )
    engine.docker("build", "-t", "melanosizer-third-parties:test", str(folder), timeout=600)
    return "melanosizer-third-parties:test"


@pytest.fixture(scope="session")
def smoke(engine: Engine, pipeline_image: str, tmp_path_factory: pytest.TempPathFactory) -> Smoke:
    """`melanosizer quickstart --preset smoke` in the pipeline image: no network, nothing writable but the volume.

    MELANOSIZER_SMOKE_WORKSPACE names the workspace of an earlier one, for whoever works on these tests.
    """
    if earlier := os.environ.get("MELANOSIZER_SMOKE_WORKSPACE"):
        return Smoke(Path(earlier), (Path(earlier) / "said.txt").read_text())
    workspace = tmp_path_factory.mktemp("workspace")
    # The image's user is not ours.
    workspace.chmod(0o777)
    said = engine.docker(
        *("run", "--rm", "--network", "none", *RESTRICTED, "--tmpfs", "/tmp:size=2g"),
        *("--volume", f"{workspace}:/workspace", pipeline_image),
        *("quickstart", "--preset", "smoke", "--images", "200", "--workspace", "/workspace"),
        timeout=2400,
    )
    (workspace / "said.txt").write_text(said)
    return Smoke(workspace, said)

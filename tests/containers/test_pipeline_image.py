"""The pipeline in its image: built, non-root, without a compiler, and able to run every step."""

from __future__ import annotations

import json

import pytest

from tests.containers.engine import ROOT, Engine, Smoke

pytestmark = [pytest.mark.container, pytest.mark.timeout(3600)]


def test_what_it_is(engine: Engine, pipeline_image: str) -> None:
    config = engine.inspect(pipeline_image)["Config"]
    assert config["User"] == "10001:10001"
    assert config["Labels"]["org.opencontainers.image.title"] == "melanosizer-pipeline"
    assert config["Healthcheck"] == {"Test": ["NONE"]}
    found = engine.docker(
        "run", "--rm", "--entrypoint", "sh", pipeline_image, "-c", "command -v g++ gcc cc pip; id -u"
    )
    assert found.split() == ["10001"]


def test_smoke_run(smoke: Smoke) -> None:
    assert "over gRPC" in smoke.said
    channels = json.loads((smoke.workspace / "registry" / "melanoma" / "channels.json").read_text())
    version = channels["stable"]
    config = (smoke.workspace / "serving" / "models.config").read_text()
    # The volume's path inside the container: the servers mount it at the same place.
    assert 'base_path: "/workspace/serving/melanoma"' in config
    assert version in config
    assert (smoke.workspace / "serving" / "melanoma" / version / "saved_model.pb").is_file()


def test_the_registry_check_finds_nothing_wrong(engine: Engine, pipeline_image: str, smoke: Smoke) -> None:
    programs = ROOT / "k8s" / "base" / "registry"
    said = engine.docker(
        *("run", "--rm", "--network", "none", "--read-only", "--entrypoint", "python"),
        *("--volume", f"{programs}:/programs:ro", "--volume", f"{smoke.workspace}:/workspace:ro"),
        *(pipeline_image, "/programs/check.py", "/workspace"),
    )
    assert said.strip() == "registry: 0 problems"

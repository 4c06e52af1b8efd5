"""checkov finds nothing wrong in what is rendered; it lives in an environment of its own, away from TFX's packages."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.k8s.manifests import OVERLAYS, ROOT, everything, overlay

CHECKOV = "checkov==3.3.30"
# Why a check does not hold for an environment. What does not hold anywhere is skipped in the manifest itself.
SKIPS = {
    "CKV_K8S_43": "dev and staging take the images that were just built, by tag; prod pins digests",
    "CKV_K8S_15": "kind is given its images and has no registry to pull from; a digest needs no pull",
}


@pytest.fixture(scope="module")
def command() -> list[str]:
    uv = ROOT / ".build" / "installer" / "bin" / "uv"
    found = str(uv) if uv.exists() else shutil.which("uv")
    if found is None:
        pytest.skip("uv is not here: run `make setup`")
    tool = [found, "tool", "run", "--quiet", "--python", "3.11", "--from", CHECKOV, "checkov"]
    tried = subprocess.run(
        [*tool, "--version"], capture_output=True, text=True, check=False, env=_environment()
    )
    if tried.returncode != 0:
        pytest.skip(f"{CHECKOV} cannot be installed here: {tried.stderr.strip()[-300:]}")
    return tool


def _environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}


@pytest.mark.slow
def test_no_check_fails(command: list[str], tmp_path: Path) -> None:
    pinned, tagged = tmp_path / "pinned", tmp_path / "tagged"
    for folder in (pinned, tagged):
        folder.mkdir()
    for name in OVERLAYS:
        (pinned if name == "prod" else tagged).joinpath(f"{name}.yaml").write_text(overlay(name).text)
    (tagged / "everything.yaml").write_text(everything().text)
    for folder, skips in ((pinned, []), (tagged, ["--skip-check", ",".join(SKIPS)])):
        # A proxy that is not there: checkov would ask its maker's server for texts, and wait minutes for it.
        environment = _environment() | dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY"), "http://127.0.0.1:9")
        done = subprocess.run(
            [
                *command,
                "-d",
                str(folder),
                "--framework",
                "kubernetes",
                "--skip-download",
                "-o",
                "json",
                *skips,
            ],
            capture_output=True,
            text=True,
            check=False,
            env=environment | {"UV_OFFLINE": "1"},
        )
        found = json.loads(done.stdout)
        failed = [(one["check_id"], one["resource"]) for one in found["results"]["failed_checks"]]
        assert failed == []
        assert found["summary"]["passed"] > 300
        for one in found["results"]["skipped_checks"]:
            assert len(one["check_result"]["suppress_comment"]) > 20

"""What the image is made of: the lock's own versions, and nothing of TensorFlow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
UV = ROOT / ".build" / "installer" / "bin" / "uv"


@pytest.mark.parametrize("extra", ["edge", "edge-litert"])
def test_the_requirements_are_the_locks(extra: str) -> None:
    if not UV.exists():
        pytest.skip(f"{UV} is not there (python3 -m pipeline.bootstrap)")
    command = [str(UV), "export", "--frozen", "--no-default-groups", "--extra", extra, "--no-emit-project"]
    command += ["--format", "requirements-txt", "--no-annotate", "--no-header", "--offline"]
    # The command line of the pipeline is not the device's.
    command += ["--prune", "typer", "--prune", "rich"]
    fresh = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert fresh.returncode == 0, fresh.stderr
    committed = (ROOT / "docker" / f"{extra}.requirements.txt").read_text()
    assert committed == fresh.stdout, f"run: {' '.join(command)} > docker/{extra}.requirements.txt"


IMPORT = """
import sys
import edge.run, edge.selftest, edge.reporting.enroll, edge.reporting.export, edge.kiosk.app
heavy = {"tensorflow", "keras", "tfx", "cv2", "ai_edge_litert", "picamera2", "linuxpy", "zxingcpp", "gpiozero"}
print(sorted(heavy & set(sys.modules)))
"""


def test_hardware_and_tensorflow_are_not_imported_until_they_are_needed() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "[]", done.stderr

"""What the image is made of: the lock's own versions, and nothing of TensorFlow."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from edge.config import load

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
    fresh = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert fresh.returncode == 0, fresh.stderr
    committed = (ROOT / "docker" / f"{extra}.requirements.txt").read_text()
    assert committed == fresh.stdout, f"run: {' '.join(command)} > docker/{extra}.requirements.txt"


IMPORT = """
import sys
import edge.run, edge.selftest, edge.reporting.enroll, edge.reporting.export, edge.kiosk.app
heavy = {"tensorflow", "keras", "tfx", "cv2", "ai_edge_litert", "picamera2", "linuxpy", "zxingcpp", "gpiozero"}
# What other rooms need of core, and the device's image has not got.
heavy |= {"scipy", "pandas", "altair", "vl_convert", "google_crc32c", "typer", "yaml", "fastapi", "sqlalchemy"}
print(sorted(heavy & set(sys.modules)))
"""


def test_hardware_and_tensorflow_are_not_imported_until_they_are_needed() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True, timeout=300)
    assert done.stdout.strip() == "[]", done.stderr


def test_the_container_has_the_hosts_time_and_finds_a_camera_that_comes_later() -> None:
    compose = yaml.safe_load((ROOT / "docker" / "edge.compose.yaml").read_text())
    edge = compose["services"]["edge"]
    assert "/etc/localtime:/etc/localtime:ro" in edge["volumes"]
    assert "/dev:/dev" in edge["volumes"]
    assert edge["device_cgroup_rules"] == ["c 81:* rw"]  # video4linux, and nothing else of /dev
    assert not any("video" in device for device in edge["devices"])  # one that is absent would stop the start


def test_the_screens_unit_keeps_its_profile_in_its_own_folder() -> None:
    unit = (ROOT / "edge" / "deploy" / "melanosizer-kiosk.service").read_text()
    lines = [line for line in unit.splitlines() if not line.startswith("#")]
    assert "%U" not in "".join(lines)  # root's number in a system unit
    assert "RuntimeDirectory=melanosizer-kiosk" in lines


def test_the_devices_unit_keeps_its_state_in_the_folder_that_systemd_makes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unit = (ROOT / "edge" / "deploy" / "melanosizer-edge.service").read_text()
    folder = re.search(r"(?m)^StateDirectory=(.+)$", unit)
    above = re.search(r"(?m)^Environment=XDG_STATE_HOME=(.+)$", unit)
    assert folder
    assert above
    # The unit hides every home, where a user that is not root would keep it otherwise.
    monkeypatch.setattr("os.geteuid", lambda: 999)
    monkeypatch.setenv("XDG_STATE_HOME", above[1])
    assert load(None).device.state_dir == Path("/var/lib") / folder[1]

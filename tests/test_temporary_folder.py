"""What libraries leave behind goes with the run of the tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TWICE = """
import sys, tempfile, pytest
before = tempfile.gettempdir()
codes = [pytest.main(["-q", "-p", "no:cacheprovider", "tests/core/test_hashing.py"]) for _ in range(2)]
sys.exit(max(codes) or tempfile.gettempdir() != before)
"""


@pytest.mark.slow
def test_a_run_leaves_no_folder_and_can_be_followed_by_another(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-c", TWICE],
        env={**environment, "TMPDIR": str(tmp_path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [path for path in tmp_path.iterdir() if path.name.startswith("melanosizer-tests-")] == []

import os
import subprocess
import sys
from pathlib import Path

from pipeline import native_output


def _stderr_of(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return done.stderr


def test_native_lines_are_hidden_and_python_lines_are_not():
    code = """
import os, sys
from pipeline import native_output
with native_output.hidden():
    os.write(2, b"native noise\\n")
    print("an error for the user", file=sys.stderr)
os.write(2, b"afterwards\\n")
"""
    assert _stderr_of(code) == "an error for the user\nafterwards\n"


def test_nested_inside_another_python_lines_still_reach_the_user(tmp_path: Path):
    code = f"""
import os, sys
from pathlib import Path
from pipeline import native_output
with native_output.hidden():
    with native_output.hidden(Path({str(tmp_path / "native.log")!r})):
        os.write(2, b"native noise\\n")
        print("epoch 1 of 6", file=sys.stderr)
    os.write(2, b"more noise\\n")
    print("done", file=sys.stderr)
"""
    assert _stderr_of(code) == "epoch 1 of 6\ndone\n"
    assert (tmp_path / "native.log").read_text() == "native noise\n"


def test_a_traceback_is_still_seen():
    code = (
        "from pipeline import native_output\nwith native_output.hidden():\n    raise RuntimeError('broken')"
    )
    assert _stderr_of(code).rstrip().endswith("RuntimeError: broken")


def test_native_lines_go_to_the_file_that_is_named(tmp_path: Path):
    with native_output.hidden(tmp_path / "native.log"):
        os.write(2, b"native noise\n")
    assert (tmp_path / "native.log").read_text() == "native noise\n"

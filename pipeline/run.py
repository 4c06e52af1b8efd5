"""One run on this machine: from an ingested data set to a verdict and, if it is good, a served version."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path

import absl.logging
from rich.console import Console

from components.ingest.errors import IngestError
from components.ingest.manifest import Manifest
from core.errors import UsageError
from core.records.verdict import GateRefusedError
from core.registry.store import Registry
from core.settings import Frozen
from core.workspace import Workspace
from pipeline import data_set, executions, lineage, native_output, outcome, prerequisites
from pipeline.config import RunConfig
from pipeline.dag import ClassifierSteps, Locations, Steps, create_pipeline
from pipeline.executions import Step
from pipeline.outcome import Outcome
from pipeline.progress import ProductLogHandler, StepProgress, open_log
from pipeline.targets import local

_log = logging.getLogger(__name__)
_MOST_LETTERS = 600  # of an error that is shown and recorded


def execute(
    config: RunConfig,
    *,
    preset: str,
    workspace: Workspace,
    data: Path,
    console: Console,
    locked: bool = False,
) -> Outcome:
    """Run the pipeline on the ingested data set ``data`` and return what came of it.

    A gate that refuses and a step that fails are outcomes, not exceptions; ``Ctrl-C`` comes out as
    KeyboardInterrupt, and the next run takes up what was finished. ``locked`` says that the caller holds the
    workspace's lock already.

    Raises:
        UsageError: the workspace, the data set or the configuration cannot be used; no step has begun.
    """
    data_set.check_names(data, workspace)
    try:
        manifest = Manifest.load(data)
    except IngestError as problem:
        raise UsageError(str(problem)) from None
    workspace.prepare()
    prerequisites.check_metadata(workspace)
    prerequisites.check(config, workspace, manifest.data_version, manifest.grown_from)
    with nullcontext() if locked else workspace.locked():
        where = local.locations(
            workspace=workspace,
            data=data,
            data_version=manifest.data_version,
            run_id=new_run_id(workspace),
            preset=preset,
            spans=manifest.label_counts_of_spans(),
            grown_from=json.dumps(manifest.grown_from),
            metadata_url=config.metadata_url,
        )
        result, steps, error = run_steps(ClassifierSteps(config), config, where, workspace, console)
        refused = result.status == "refused"
        lineage.write(steps, run_id=where.run_id, workspace=workspace.root, refused=refused, reason=error)
        result = outcome.served(result, Registry(workspace.root, config.model_name))
        result.save(workspace.run(where.run_id))
        return result


def run_steps(
    wanted: Steps, settings: Frozen, where: Locations, workspace: Workspace, console: Console
) -> tuple[Outcome, list[Step], str]:
    """Run a pipeline; return what came of it, not saved yet, its steps, and what one of them raised, if one did.

    The run's folder gets the settings and the logs. The caller holds the workspace's lock.
    """
    started = datetime.now(UTC)
    compiled = local.compiled(create_pipeline(wanted, where), where.run_id)
    folder = workspace.run(where.run_id)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(settings.model_dump_json(indent=2) + "\n")
    begun = time.monotonic()
    error, refused = "", None
    with (
        native_output.hidden(folder / "native.log"),
        _logged(console, folder, local.step_names(compiled)),
    ):
        try:
            local.run(compiled)
        except GateRefusedError as refusal:
            error, refused = str(refusal), refusal.verdict
            _log.debug("the run stopped at a gate", exc_info=True)
        except Exception as fault:
            # Whatever a step raises ends the run, never the record of it.
            error = _sentence(fault, Path(where.data))
            _log.exception("the run failed")
        steps = executions.steps(where)
        seconds = round(time.monotonic() - begun, 1)
        result = executions.collect(
            where, steps, started=started, seconds=seconds, error=error, refused=refused
        )
    return result, steps, error


def _sentence(fault: Exception, data: Path) -> str:
    """What a person reads of a fault: TensorFlow writes the bytes of an image it cannot decode into its message."""
    text = f"{type(fault).__name__}: {fault}"
    if "decode" in text.lower() or "jpeg" in text.lower():
        damaged = data_set.undecodable(data)
        if damaged:
            return f"{len(damaged)} images cannot be decoded: {', '.join(damaged[:5])}; ingest the data again"
    return text if len(text) <= _MOST_LETTERS else f"{text[:_MOST_LETTERS]} ... (the rest is in run.log)"


def new_run_id(workspace: Workspace) -> str:
    """Return a name that sorts by time and is new in this workspace."""
    name = f"{datetime.now(UTC):%Y%m%d-%H%M%S}"
    taken = {path.name for path in workspace.runs.glob(f"{name}*")}
    return name if name not in taken else f"{name}-{len(taken) + 1}"


@contextmanager
def _logged(console: Console, folder: Path, steps: list[str]) -> Iterator[None]:
    """Send every log record of the run to its file, and what a person wants to see to the console."""
    root = logging.getLogger()
    before, level, verbosity = list(root.handlers), root.level, absl.logging.get_verbosity()
    progress = StepProgress(console, steps)
    handlers = [open_log(folder / "run.log"), progress, ProductLogHandler(console)]
    root.handlers[:] = handlers
    root.setLevel(logging.INFO)
    # TensorFlow's logger prints on its own besides.
    logging.getLogger("tensorflow").handlers.clear()
    absl.logging.set_verbosity(absl.logging.INFO)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        progress.stop()
        handlers[0].close()
        root.handlers[:] = before
        root.setLevel(level)
        absl.logging.set_verbosity(verbosity)  # what compiles the next run is not for its reader

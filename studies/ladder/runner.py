"""Runs the ladder: the same splits and budget for every rung, resumed where it stopped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import tensorflow as tf
from pydantic import ValidationError

from components.ingest.manifest import Manifest
from components.trainer.progress import Progress
from core.errors import RunFaultError
from core.files import write_atomic
from core.workspace import Workspace
from studies.ladder import networks as ladder
from studies.ladder import own_process
from studies.ladder.networks import Experiment, ExperimentResult, Splits

SIZE = 256  # px: what the base CNN asks for; the other networks look at 224 of them


@dataclass(frozen=True)
class Options:
    """What the user chose."""

    budget: float | None  # minutes for the whole ladder, in equal shares; None = every preset's epochs
    train_images: int | None  # of the training split, None = all; the same for every rung
    eval_images: int | None  # of eval and of test each, None = all
    seed: int  # of everything that is drawn
    again: bool = False  # train the chosen rungs even where they are done


@dataclass
class LadderResult:
    """The rungs measured so far under these options, now or before, and why others failed."""

    results: list[ExperimentResult] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)


def run(
    rungs: Mapping[str, Experiment],
    wanted: Collection[str],
    data: Path,
    workspace: Workspace,
    options: Options,
    progress: Progress,
    listener: Callable[[LadderResult], None],
) -> LadderResult:
    """Train the wanted ones of all rungs that are not done yet; `listener` gets all results after each one.

    A rung that fails is named, and the next one is tried.
    """
    folder = workspace.root / "studies" / "ladder"
    folder.mkdir(parents=True, exist_ok=True)
    splits = _ground(data, workspace.cache, options, progress)
    # A share of the whole ladder, however many rungs are asked for now: rows of one table had equal time.
    minutes = None if options.budget is None else options.budget / len(rungs)
    found = LadderResult()
    keys: dict[str, str] = {}
    started_from = {rung.warm_start for rung in rungs.values() if rung.warm_start}
    for number, (name, rung) in enumerate(rungs.items(), start=1):
        before = keys.get(rung.warm_start or "", "")
        keys[name] = own_key = ladder.key(rung, splits, minutes, before)
        path, weights_path = folder / f"{name}.json", folder / f"{name}-{own_key}.npz"
        own = folder / f"{name}-{own_key[:8]}"
        kept = _kept(path, own_key)
        startable = name not in started_from or weights_path.exists()
        if kept is not None and (name not in wanted or (startable and not options.again)):
            _record(workspace, data, rung, kept, own)
            progress.line(
                "rung %d of %d  %s: done before, AUC %.4f", number, len(rungs), name, kept.auc.value
            )
            found.results.append(kept)
            listener(found)
            continue
        if name not in wanted:
            continue
        if rung.warm_start in found.failures:
            found.failures[name] = f"starts from {rung.warm_start}, which failed"
            continue
        progress.line("rung %d of %d  %s: %s", number, len(rungs), name, rung.title)
        for outdated in (*folder.glob(f"{name}-*.npz"), *folder.glob(f"{name}-*/backup-*.npz")):
            if own_key not in outdated.name:
                outdated.unlink()
        job = partial(
            _climb,
            name,
            rung,
            data=data,
            cache=workspace.cache,
            options=options,
            minutes=minutes,
            own_key=own_key,
            folder=own,
            initial=folder / f"{rung.warm_start}-{before}.npz" if rung.warm_start else None,
            keep=weights_path if name in started_from else None,
        )
        try:
            # TensorFlow keeps 3 GB of each of the large networks to itself: the seventh rung found no memory.
            measured = own_process.run(job, f"rung {name}", progress)
        except (FloatingPointError, RunFaultError, tf.errors.OpError) as error:
            if isinstance(error, FloatingPointError):
                # What was backed up may hold what made it fail.
                for backup in own.glob("backup-*.npz"):
                    backup.unlink()
            found.failures[name] = str(error)
            progress.line("rung %s failed: %s", name, error)
            continue
        write_atomic(path, measured.model_dump_json(indent=1) + "\n")
        _record(workspace, data, rung, measured, own)
        found.results.append(measured)
        listener(found)
    return found


def _climb(
    name: str,
    rung: Experiment,
    progress: Progress,
    *,
    data: Path,
    cache: Path,
    options: Options,
    minutes: float | None,
    own_key: str,
    folder: Path,
    initial: Path | None,
    keep: Path | None,
) -> ExperimentResult:
    measured, weights = ladder.run_experiment(
        name,
        rung,
        _ground(data, cache, options, progress),
        minutes=minutes,
        own_key=own_key,
        folder=folder,
        initial=ladder.load_weights(initial) if initial is not None else None,
        progress=progress,
    )
    if keep is not None:
        ladder.save_weights(weights, keep)
    return measured


def _ground(data: Path, cache: Path, options: Options, progress: Progress) -> Splits:
    splits = ladder.read_splits(
        data, SIZE, cache, options.train_images, options.eval_images, options.seed, progress
    )
    return Splits(splits["train"], splits["eval"], splits["test"], options.seed)


def _kept(path: Path, key: str) -> ExperimentResult | None:
    try:
        found = ExperimentResult.model_validate_json(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValidationError):
        return None  # not measured yet, or by another release
    return found if found.key == key else None


def _record(
    workspace: Workspace, data: Path, rung: Experiment, measured: ExperimentResult, folder: Path
) -> None:
    """Leave the rung among the runs, so that the dashboard compares it; nothing is ever released from it."""
    from core.records.evaluation import SliceMetrics
    from core.records.verdict import OVERALL
    from pipeline.outcome import FILE_NAME, Outcome, StepOutcome

    digest = hashlib.sha256(measured.model_dump_json().encode()).hexdigest()[:6]
    name = f"ladder-{measured.name}-{digest}"
    if any((path / FILE_NAME).exists() for path in workspace.runs.glob(f"*-{name}")):
        return
    started = datetime.now(UTC) - timedelta(seconds=measured.seconds)
    # As every run's: it begins with the time, so that the newest is the last.
    run_id = f"{started:%Y%m%d-%H%M%S}-{name}"
    own = workspace.run(run_id)
    own.mkdir(parents=True)
    content = {"trainer": rung.trainer.model_dump(mode="json"), "study": measured.study.model_dump()}
    (own / "config.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    found = measured.positives - measured.false_negatives
    metrics = SliceMetrics(
        slice=OVERALL,
        auc=measured.auc.value,
        auc_precision_recall=None,
        true_positives=found,
        false_negatives=measured.false_negatives,
        true_negatives=measured.true_negatives,
        false_positives=measured.images - measured.positives - measured.true_negatives,
    )
    steps = tuple(
        StepOutcome(
            name=name,
            state="COMPLETE",
            seconds=round(seconds, 1),
            outputs={output: [str(folder.resolve())]},
        )
        for name, seconds, output in (
            ("Trainer", measured.seconds, "model_run"),
            ("Evaluator", 0.0, "evaluation"),
        )
    )
    Outcome(
        run_id=run_id,
        status="unchanged",
        reason="a rung of the study's ladder: measured, never released",
        preset=f"studies/ladder/{measured.name}",
        data=str(data.resolve()),
        data_version=Manifest.load(data).data_version,
        started=started,
        seconds=round(measured.seconds, 1),
        version=None,
        model=None,
        metrics=metrics,
        threshold=0.5,
        verdicts=(),
        steps=steps,
    ).save(own)

"""Runs the ladder: one ground, one budget, resumed where it stopped."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from components.features import SPLITS
from components.ingest.manifest import Manifest
from components.studies import ladder
from components.studies.ladder import Ground, Measured, Rung
from components.trainer.progress import Progress
from components.trainer.records import read_split
from pipeline.studies import own_process
from pipeline.workspace import Workspace

SIZE = 256  # px: what the base CNN asks for; the other networks look at 224 of them


@dataclass(frozen=True)
class Options:
    """What the user chose.

    Attributes:
        budget: minutes for all rungs together; None = every preset's epochs.
        train_images: of the training split, None = all; the same for every rung.
        eval_images: of eval and of test each, None = all.
        seed: of everything that is drawn.
    """

    budget: float | None
    train_images: int | None
    eval_images: int | None
    seed: int


def run(
    rungs: Mapping[str, Rung],
    data: Path,
    workspace: Workspace,
    options: Options,
    progress: Progress,
    listener: Callable[[list[Measured]], None],
) -> list[Measured]:
    """Train every rung that is not done yet; `listener` gets all results after each one."""
    folder = workspace.root / "studies" / "ladder"
    folder.mkdir(parents=True, exist_ok=True)
    ground = _ground(data, workspace.cache, options, SIZE, progress)
    minutes = None if options.budget is None else options.budget / len(rungs)
    results: list[Measured] = []
    keys: dict[str, str] = {}
    started_from = {rung.warm_start for rung in rungs.values() if rung.warm_start}
    for number, (name, rung) in enumerate(rungs.items(), start=1):
        before = keys.get(rung.warm_start or "", "")
        keys[name] = ladder.key(rung, ground, minutes, before)
        path, weights_path = folder / f"{name}.json", folder / f"{name}-{keys[name]}.npz"
        kept = _kept(path, keys[name])
        if kept is not None and (name not in started_from or weights_path.exists()):
            progress.line(
                "rung %d of %d  %s: done before, AUC %.4f", number, len(rungs), name, kept.auc.value
            )
            results.append(kept)
            listener(results)
            continue
        progress.line("rung %d of %d  %s: %s", number, len(rungs), name, rung.title)
        began, started = time.monotonic(), datetime.now(UTC)
        job = partial(
            _climb,
            name,
            rung,
            data=data,
            cache=workspace.cache,
            options=options,
            size=SIZE,
            minutes=minutes,
            own_key=keys[name],
            folder=folder / name,
            initial=folder / f"{rung.warm_start}-{before}.npz" if rung.warm_start and before else None,
            keep=weights_path if name in started_from else None,
        )
        # TensorFlow keeps 3 GB of each of the large networks to itself: the seventh rung found no memory.
        measured = own_process.run(job, f"rung {name}", progress)
        part = path.with_suffix(".part")
        part.write_text(measured.model_dump_json(indent=1) + "\n", encoding="utf-8")
        part.replace(path)
        _record(workspace, data, rung, measured, folder / name, started, time.monotonic() - began)
        results.append(measured)
        listener(results)
    return results


def _climb(
    name: str,
    rung: Rung,
    progress: Progress,
    *,
    data: Path,
    cache: Path,
    options: Options,
    size: int,
    minutes: float | None,
    own_key: str,
    folder: Path,
    initial: Path | None,
    keep: Path | None,
) -> Measured:
    measured, weights = ladder.climb(
        name,
        rung,
        _ground(data, cache, options, size, progress),
        minutes=minutes,
        own_key=own_key,
        folder=folder,
        initial=ladder.load_weights(initial) if initial is not None else None,
        progress=progress,
    )
    if keep is not None:
        ladder.save_weights(weights, keep)
    return measured


def _ground(data: Path, cache: Path, options: Options, size: int, progress: Progress) -> Ground:
    splits = {
        name: ladder.limited(
            read_split(
                name, [str(data / name / "*.tfrecord.gz")], size=size, cache_dir=cache, progress=progress
            ),
            options.train_images if name == "train" else options.eval_images,
            options.seed,
        )
        for name in SPLITS
    }
    return Ground(splits["train"], splits["eval"], splits["test"], options.seed)


def _kept(path: Path, key: str) -> Measured | None:
    if not path.exists():
        return None
    found = Measured.model_validate_json(path.read_text(encoding="utf-8"))
    return found if found.key == key else None


def _record(
    workspace: Workspace,
    data: Path,
    rung: Rung,
    measured: Measured,
    history: Path,
    started: datetime,
    seconds: float,
) -> None:
    """Leave the rung among the runs, so that the dashboard compares it; nothing is ever released from it."""
    from components.evaluator.measured import SliceMetrics
    from components.gate.verdict import OVERALL
    from pipeline.outcome import Outcome, StepOutcome

    digest = hashlib.sha256(measured.key.encode()).hexdigest()[:6]
    run_id = f"ladder-{measured.name}-{digest}"
    folder = workspace.run(run_id)
    folder.mkdir(parents=True, exist_ok=True)
    content = {"trainer": rung.trainer.model_dump(mode="json"), "study": measured.study.model_dump()}
    (folder / "config.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
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
    step = StepOutcome(
        name="Trainer",
        state="COMPLETE",
        seconds=round(measured.seconds, 1),
        outputs={"model_run": [str(history.resolve())]},
    )
    Outcome(
        run_id=run_id,
        status="unchanged",
        reason="a rung of the study's ladder: measured, never released",
        preset=f"studies/ladder/{measured.name}",
        data=str(data),
        data_version=Manifest.load(data).data_version,
        started=started,
        seconds=round(seconds, 1),
        version=None,
        model=None,
        metrics=metrics,
        threshold=0.5,
        verdicts=(),
        steps=(step,),
    ).save(folder)

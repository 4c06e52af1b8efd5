"""Fits a released model to a clinic's own labelled pictures, and releases it as a version of its own."""

from __future__ import annotations

import hashlib
import importlib.metadata
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.evaluator import measured, predictions
from components.evaluator.config import EvaluatorConfig
from components.evaluator.judge import judge
from components.evaluator.model import Model
from components.evaluator.predictions import Prediction
from components.ingest.manifest import Manifest
from components.serving_check.config import ServingCheckConfig
from core import hashing, tfrecord
from core.errors import UsageError
from core.features import GROUP_ID, IMAGE, IMAGE_NAME, UNKNOWN
from core.measures import operating_point, recalibration
from core.measures.calibration import CalibrationLine, calibration_line
from core.measures.operating_point import Zones, ZonesConfig
from core.measures.recalibration import FOR_A_LINE, Recalibration
from core.measures.summary import Measures, measure
from core.records import outcome
from core.records.verdict import OVERALL, Verdict
from core.records.version import Parents, VersionRecord
from core.registry.store import Registry


@dataclass(frozen=True)
class Fitted:
    """What was fitted on one part of the pictures, and what it gives on the other."""

    recalibration: Recalibration  # the map of stated probabilities
    threshold: float  # of the recalibrated probability
    wanted_sensitivity: float | None  # that the threshold was chosen for; None if it decides as before
    zones: Zones  # of the recalibrated probability
    images: int  # that were fitted on
    melanomas: int  # of these
    before: Measures  # the released model on the other part
    after: Measures  # the recalibrated one on the same images
    line_before: CalibrationLine  # calibration intercept and slope before
    line_after: CalibrationLine  # the same after
    answers: Sequence[Prediction]  # the recalibrated answers to the other part


@dataclass(frozen=True)
class Site:
    """What a clinic knows of a released version: its answers and what the lesions turned out to be."""

    answers: Sequence[Prediction]  # of the version
    groups: Sequence[str]  # patient or lesion of each
    data_version: str  # SHA-256 of where they come from
    images: Sequence[bytes]  # encoded pictures that the serving gate asks about
    slices: Sequence[str]  # features whose values are judged on their own


def halves(labels: NDArray[np.int64], groups: Sequence[str]) -> NDArray[np.bool_]:
    """Return which images are fitted on: every other group of each label, in the order of the groups' hashes.

    A group (patient or lesion) is never divided. The same pictures give the same halves. Labels (0 or 1), groups and
    the result are of shape [n].
    """
    positive = {group for group, label in zip(groups, labels, strict=True) if label}
    ordered = sorted(set(groups), key=lambda group: hashlib.sha256(group.encode()).digest())
    chosen: set[str] = set()
    for members in ([g for g in ordered if g in positive], [g for g in ordered if g not in positive]):
        chosen |= set(members[::2])
    return np.array([group in chosen for group in groups])


def fit(site: Site, limits: EvaluatorConfig, *, sensitivity: float, costs: ZonesConfig) -> Fitted:
    """Fit on one half of the released model's answers, measure on the other as the model gate does.

    The operating point is chosen for ``sensitivity`` if there are enough melanomas, the zones by ``costs``.

    Raises:
        UsageError: too few melanomas or others.
    """
    answers, samples, confidence = site.answers, limits.bootstrap_samples, limits.confidence
    labels, scores = predictions.arrays(answers)
    inside = halves(labels, site.groups)
    try:
        found = recalibration.fit(labels[inside], scores[inside])
        before = measure(
            labels[~inside], scores[~inside], answers[0].threshold, samples=samples, confidence=confidence
        )
    except ValueError as problem:
        raise UsageError(f"half of the pictures is fitted on, half measured on: {problem}") from None
    fitted = found(scores)
    melanomas = int(labels[inside].sum())
    chosen = melanomas >= FOR_A_LINE
    if chosen:
        threshold = operating_point.choose(labels[inside], fitted[inside], sensitivity).threshold
    else:
        threshold = float(np.float32(found(np.array([answers[0].threshold]))[0]))
    # As the model answers: float32, compared with a float32 threshold.
    fitted = fitted.astype(np.float32).astype(np.float64)
    measured_on = np.flatnonzero(~inside).tolist()
    return Fitted(
        recalibration=found,
        threshold=threshold,
        wanted_sensitivity=sensitivity if chosen else None,
        zones=operating_point.zones(costs, threshold),
        images=int(inside.sum()),
        melanomas=melanomas,
        before=before,
        after=measure(labels[~inside], fitted[~inside], threshold, samples=samples, confidence=confidence),
        line_before=calibration_line(labels[~inside], scores[~inside], confidence),
        line_after=calibration_line(labels[~inside], fitted[~inside], confidence),
        answers=tuple(
            answers[row]._replace(probability=float(fitted[row]), threshold=threshold) for row in measured_on
        ),
    )


def ask(model: Path, data: Path, limits: EvaluatorConfig, images: int) -> Site:
    """Ask the model about all images of an ingested data set; the first ``images`` of them try the result."""
    files = sorted(data.glob("*/*.tfrecord.gz"))
    answers = [answer for answer, _ in predictions.predict(Model(model), files)]
    groups: list[str] = []
    tried: list[bytes] = []
    for item in chain.from_iterable(tfrecord.examples(file) for file in files):
        groups.append(tfrecord.text(item, GROUP_ID) or tfrecord.text(item, IMAGE_NAME))
        if len(tried) < images:
            tried.append(bytes(tfrecord.first(item, IMAGE)))
    return Site(
        answers=answers,
        groups=groups,
        data_version=Manifest.load(data).data_version,
        images=tried,
        slices=limits.slices,
    )


def from_field(file: Path, version: str, threshold: float) -> Site:
    """Take answers and confirmed outcomes from the file that the dashboard writes; pictures are not part of it.

    Raises:
        UsageError: the file cannot be read, or holds no answer of this version.
    """
    from components.trainer.export.saved_model import warmup_pictures

    rows = outcome.read(file)
    found = [row for row in rows if row.version == version]
    if not found:
        others = sorted({row.version for row in rows})
        raise UsageError(
            f"--field {file}: none of its {len(rows)} outcomes is of version {version}"
            + (f"; they are of {', '.join(others)}: give --version" if others else "")
        )
    return Site(
        answers=[
            Prediction(
                image_name=f"answer {row.answer}",
                source="field",
                target=row.label,
                probability=row.probability,
                threshold=threshold,
                out_of_distribution=0.0,
                diagnosis=UNKNOWN,
                sex=UNKNOWN,
                age_band=UNKNOWN,
                anatom_site=UNKNOWN,
                model_version=version,
            )
            for row in found
        ],
        groups=[row.group for row in found],
        data_version=hashlib.sha256(outcome.table(found).encode()).hexdigest(),
        images=warmup_pictures(),
        slices=(),
    )


def release(
    registry: Registry,
    parent: VersionRecord,
    site: Site,
    fitted: Fitted,
    limits: EvaluatorConfig,
    *,
    who: str,
    serving_check: ServingCheckConfig,
) -> tuple[str, tuple[Verdict, ...]]:
    """Put the recalibrated model through the model gate and the serving gate, and release it if both let it.

    Returns the new version, "" if a gate refused, and the verdicts. The caller holds the workspace's lock.
    """
    from components.pusher.executor import push
    from components.serving_check import trial
    from components.trainer.export import recalibrated

    slices = measured.from_predictions(fitted.answers, site.slices)
    verdict = judge(limits, slices, None, "judged on the clinic's own pictures")
    if not verdict.passed:
        return "", (verdict,)
    version = str(max([int(time.time()), *(int(name) + 1 for name in registry.versions())]))
    served = registry.served / parent.version
    facts = {
        "model_version": version,
        "threshold": fitted.threshold,
        "operating_point": {**parent.model["operating_point"], **_operating_point(fitted)},
        "zones": asdict(fitted.zones),
        "recalibration": {
            **asdict(fitted.recalibration),
            "from_version": parent.version,
            "data_version": site.data_version,
            "images": fitted.images,
            "melanomas": fitted.melanomas,
        },
    }
    with tempfile.TemporaryDirectory(dir=registry.served.parent, prefix=".recalibrated-") as scratch:
        folder = Path(scratch) / version
        recalibrated.write(
            served,
            folder,
            recalibration=fitted.recalibration,
            threshold=fitted.threshold,
            zones=fitted.zones,
            version=version,
            facts=facts,
        )
        serving = trial.run(folder, site.images, serving_check)
        verdicts = (verdict, serving)
        if not serving.passed:
            return "", verdicts
        target = push(folder, registry.served, version)
    overall = next(item for item in slices if item.slice == OVERALL)
    record = VersionRecord(
        model_name=parent.model_name,
        version=version,
        created=datetime.now(UTC),
        run_id=parent.run_id,
        preset=parent.preset,
        software=importlib.metadata.version("melanosizer"),
        config=parent.config,
        label_counts={
            "recalibrated on": {
                "negatives": fitted.images - fitted.melanomas,
                "positives": fitted.melanomas,
            },
            "measured on": {"negatives": overall.negatives, "positives": overall.positives},
        },
        metrics=overall.recorded(fitted.threshold),
        slices=tuple(item.model_dump() for item in slices if item.slice != OVERALL),
        verdicts=verdicts,
        sha256=hashing.tree_hash(target),
        fingerprint=hashing.fingerprint(target),
        parents=Parents(
            data_version=site.data_version, baseline_version=parent.version, recalibrated_from=parent.version
        ),
        model={**parent.model, **facts},
    )
    registry.add(
        record,
        who=who,
        why=f"version {parent.version} recalibrated on {fitted.images} pictures, {fitted.melanomas} melanomas",
    )
    return version, verdicts


def _operating_point(fitted: Fitted) -> dict[str, object]:
    after = fitted.after
    wanted = {} if fitted.wanted_sensitivity is None else {"wanted_sensitivity": fitted.wanted_sensitivity}
    return {
        **wanted,
        "sensitivity": after.sensitivity.value,
        "sensitivity_interval": [after.sensitivity.low, after.sensitivity.high],
        "specificity": after.specificity.value,
        "specificity_interval": [after.specificity.low, after.specificity.high],
    }

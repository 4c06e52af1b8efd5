"""Every kind of rule: what it looks at, and what its limit means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import InstrumentedAttribute, Session

from core.numbers import percent
from dashboard import clock, words
from dashboard.database.tables import Device, Hour, Rule
from dashboard.field.drift import LEAST, drift
from dashboard.field.outcomes import calibration, confirmed, quality
from dashboard.field.recorder import hours
from dashboard.readers.evidence import Evidence
from dashboard.readers.registry import RegistryFiles
from dashboard.readers.runs import RunFiles
from dashboard.scrape import Scraper

LEAST_MELANOMAS = 10
LEAST_ANSWERS = 20


@dataclass(frozen=True)
class Finding:
    """Something a rule found."""

    subject: str
    message: str
    value: float | None = None


@dataclass(frozen=True)
class Sources:
    """Where rules look."""

    runs: RunFiles
    registry: RegistryFiles
    evidence: Evidence
    scraper: Scraper


Look = Callable[[Session, Sources, Rule], list[Finding]]


@dataclass(frozen=True)
class Kind:
    """A kind of rule."""

    title: str
    limit: str  # what the limit is, with its unit
    look: Look
    direction: int = 1  # 1: too high is wrong; -1: too low is wrong; 0: there is no limit

    def eased(self, limit: float, margin: float) -> float:
        """Return the limit that a value must be better than before its alert ends."""
        return max(0.0, limit - self.direction * margin)


def _silent(session: Session, _sources: Sources, rule: Rule) -> list[Finding]:
    edge = clock.now() - int(rule.limit * clock.MINUTE)
    rows = session.execute(select(Device.id, Device.last_seen).where(Device.last_seen < edge)).all()
    return [
        Finding(name, f"{name} was last heard of {words.ago(seen)}", (clock.now() - seen) / clock.MINUTE)
        for name, seen in rows
    ]


def _beyond(column: InstrumentedAttribute[Any], message: str) -> Look:
    def look(session: Session, _sources: Sources, rule: Rule) -> list[Finding]:
        rows = session.execute(select(Device.id, column).where(column > rule.limit)).all()
        return [Finding(name, message.format(name=name, value=value), value) for name, value in rows]

    return look


def _since(rule: Rule) -> int:
    return clock.now() - rule.window_minutes * clock.MINUTE


def _drift(features: tuple[str, ...]) -> Look:
    def look(session: Session, sources: Sources, rule: Rule) -> list[Finding]:
        version = sources.registry.stable()
        if version is None:
            return []
        rows = drift(session, sources.evidence, version.version, version, _since(rule))
        return [
            Finding(
                f"{version.version} {row.feature}",
                f"{row.feature} of version {version.version} left its training data: PSI {row.psi:.2f}, "
                f"limit {rule.limit:g}, {sum(row.seen)} answers",
                row.psi,
            )
            for row in rows
            if row.feature in features
            and row.psi is not None
            and row.psi > rule.limit
            and sum(row.seen) >= LEAST
        ]

    return look


def _sensitivity(session: Session, sources: Sources, rule: Rule) -> list[Finding]:
    stable = sources.registry.channels().stable
    found = quality(session, stable, _since(rule)) if stable else None
    if stable is None or found is None or found.sensitivity is None or found.melanomas < LEAST_MELANOMAS:
        return []
    value = found.sensitivity.value
    text = (
        f"version {stable} found {percent(value)} of {found.melanomas} melanomas in the field, "
        f"limit {percent(rule.limit)}"
    )
    return [Finding(stable, text, value)] if value < rule.limit else []


def _calibration(session: Session, sources: Sources, rule: Rule) -> list[Finding]:
    record = sources.registry.stable()
    if record is None:
        return []
    found = calibration(confirmed(session, record.version, record.data_version), record.version)
    if found.p_value is None or found.p_value >= rule.limit:
        return []
    text = (
        f"version {record.version} is not calibrated here: {found.melanomas} of {found.melanomas + found.benign} "
        f"confirmed lesions are melanomas, {found.stated:.1f} were stated; somebody should decide about a recalibration"
    )
    return [Finding(record.version, text, found.p_value)]


def _failures(session: Session, _sources: Sources, rule: Rule) -> list[Finding]:
    rows = hours(session, Hour.version, ("answers", "failures"), _since(rule))
    failures = sum(failed for _, _, failed in rows)
    total = failures + sum(answered for _, answered, _ in rows)
    if total < LEAST_ANSWERS or failures / total <= rule.limit:
        return []
    text = f"{percent(failures / total)} of {total} requests failed, limit {percent(rule.limit)}"
    return [Finding("gateway", text, failures / total)]


def _run(_session: Session, sources: Sources, rule: Rule) -> list[Finding]:
    # A study releases nothing: its runs say nothing of the pipeline's.
    ended = (run for run in sources.runs.all() if run.state != "running" and not run.of_a_study)
    newest = next(ended, None)
    if newest is None or newest.state not in ("failed", "refused", "interrupted"):
        return []
    if newest.started is not None and newest.started < _since(rule):
        return []
    return [Finding(newest.run_id, f"run {newest.run_id} was {newest.state}: {newest.reason[:300]}")]


def _server(_session: Session, sources: Sources, _rule: Rule) -> list[Finding]:
    trouble = sources.scraper.trouble
    if not trouble or not sources.scraper.samples():
        return []  # a server that never answered may simply not be started yet on a laptop
    return [Finding("model server", f"the model server stopped answering: {trouble}")]


KINDS: dict[str, Kind] = {
    "device_silent": Kind("A device is silent", "minutes without a sign of life", _silent),
    "device_hot": Kind(
        "A device is hot", "degrees Celsius", _beyond(Device.temperature, "{name} is at {value:.1f} °C")
    ),
    "device_queue": Kind(
        "Examinations pile up on a device",
        "examinations waiting",
        _beyond(Device.queue_depth, "{value} examinations wait on {name}"),
    ),
    "score_drift": Kind("Probabilities drift", "PSI against the eval split", _drift(("probability",))),
    "image_drift": Kind(
        "Images drift",
        "PSI against the training images",
        _drift(("brightness", "contrast", "redness", "sharpness")),
    ),
    "field_sensitivity": Kind(
        "Melanomas are missed in the field", "lowest sensitivity, 0 to 1", _sensitivity, -1
    ),
    "calibration_drift": Kind(
        "The calibration drifts in the field", "p-value of a true calibration, 0 to 1", _calibration, -1
    ),
    "failed_answers": Kind("Predictions fail", "largest share of failed requests, 0 to 1", _failures),
    "run_failed": Kind("A run fails or is refused", "no limit", _run, 0),
    "server_down": Kind("The model server stops answering", "no limit", _server, 0),
}

# What a new database begins with.
FIRST_VALUES = ("kind", "limit", "window_minutes", "severity", "margin", "wait_minutes")
FIRST_RULES: tuple[tuple[str, float, int, str, float, float], ...] = (
    ("device_silent", 60, 60, "warning", 0, 0),
    ("device_hot", 80, 60, "warning", 3, 2),
    ("device_queue", 50, 60, "warning", 10, 2),
    ("score_drift", 0.25, 7 * 1440, "warning", 0.02, 0),
    ("image_drift", 0.25, 7 * 1440, "warning", 0.02, 0),
    ("field_sensitivity", 0.8, 90 * 1440, "critical", 0.02, 0),
    ("calibration_drift", 0.01, 90 * 1440, "warning", 0, 0),
    ("failed_answers", 0.05, 60, "critical", 0.01, 2),
    ("run_failed", 0, 2 * 1440, "warning", 0, 0),
    ("server_down", 0, 5, "critical", 0, 1),
)

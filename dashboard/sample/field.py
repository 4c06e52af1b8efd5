"""The database: answers, outcomes, a fleet with heartbeats."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from sqlalchemy import select

from core.records import heartbeat
from dashboard import clock
from dashboard.database.connection import Database
from dashboard.database.tables import Device, Heartbeat, Prediction, Review
from dashboard.field.recorder import Recorder
from dashboard.sample.data_set import LOW_BELOW, THRESHOLD, Size


def field(database: Database, recorder: Recorder, versions: list[str], size: Size) -> None:
    """Fill the database: answers of the last 30 days, outcomes for some of them, a fleet with heartbeats."""
    chance = np.random.default_rng(size.seed)
    moment = clock.now()
    names = [f"pi-{i:03d}" for i in range(size.devices)]
    for begin in range(0, size.predictions, 2000):
        numbers = range(begin, min(size.predictions, begin + 2000))
        recorder.write([_answer(chance, moment, i, size, versions, names) for i in numbers])
    with database.write() as session:
        for i, name in enumerate(names):
            silent = i % 17 == 5
            seen = moment - (3 * clock.HOUR if silent else int(chance.integers(0, 15)) * clock.MINUTE)
            device = session.get(Device, name) or Device(
                id=name, first_seen=moment - 30 * clock.DAY, answered=0
            )
            device.last_seen, device.model_version, device.software = seen, versions[-1], "0.1.0"
            device.queue_depth = 0 if i % 5 else int(chance.integers(0, 9))
            device.temperature = round(float(chance.normal(54, 6)), 1)
            device.errors = 1 if i % 11 == 3 else 0
            device.heartbeat = _heartbeat(device, seen)
            session.add(device)
            session.add_all(
                Heartbeat(
                    device_id=name,
                    at=seen - step * 10 * clock.MINUTE,
                    queue_depth=int(chance.integers(0, 4)),
                    temperature=round(float(chance.normal(54, 3)), 1),
                    errors=0,
                )
                for step in range(24)
            )
    _outcomes(database, chance, size)


def _outcomes(database: Database, chance: np.random.Generator, size: Size) -> None:
    with database.write() as session:
        rows = session.scalars(
            select(Prediction).order_by(Prediction.id).limit(max(60, size.predictions // 20))
        ).all()
        for row in rows:
            if row.zone == "low" and chance.random() < 0.6:
                continue
            melanoma = chance.random() < min(0.95, row.probability * 1.1 + 0.004)
            row.outcome = "melanoma" if melanoma else "benign"
            session.add(
                Review(
                    prediction_id=row.id,
                    at=row.at + clock.HOUR,
                    who="dr.reyes",
                    outcome=row.outcome,
                    basis="histology",
                    comment="",
                )
            )


def _answer(
    chance: np.random.Generator, moment: int, i: int, size: Size, versions: list[str], names: list[str]
) -> Prediction:
    probability = float(np.clip(chance.beta(0.55, 6.5), 0.0005, 0.995))
    share = i / max(1, size.predictions)
    # The newest days come from a darker camera, so that drift has something to show.
    dim = 14.0 if share > 0.8 else 0.0
    zone = "refer" if probability >= THRESHOLD else "low" if probability < LOW_BELOW else "review"
    return Prediction(
        request_id=f"sample-{size.seed}-{i}",
        row=0,
        at=moment - int((1 - share) * 30 * clock.DAY) + int(chance.integers(0, 60_000)),
        origin="gateway",
        version=versions[min(len(versions) - 1, int(share * len(versions)))],
        probability=probability,
        decision=int(probability >= THRESHOLD),
        threshold=THRESHOLD,
        zone=zone,
        device_id=names[int(chance.integers(0, len(names)))] if names else None,
        out_of_distribution=float(chance.random() < 0.01),
        latency_ms=round(float(chance.gamma(5, 6)), 1),
        sha256=hashlib.sha256(f"{size.seed}/{i}".encode()).hexdigest(),
        width=1024,
        height=768,
        bytes=140_000,
        brightness=round(float(chance.normal(158 - dim, 14)), 1),
        contrast=round(float(chance.normal(29, 6)), 1),
        redness=round(float(chance.normal(0.41, 0.015)), 4),
        sharpness=round(float(chance.gamma(6, 0.8)), 2),
    )


def _heartbeat(device: Device, seen: int) -> dict[str, Any]:
    sent = clock.local(seen, clock.GREENWICH)
    notice = heartbeat.Notice(
        kind="server_unreachable", detail="127.0.0.1:8500: connection refused", since=sent
    )
    beat = heartbeat.Heartbeat(
        device_id=device.id,
        sent_at=sent,
        uptime_s=86_400.0,
        versions=heartbeat.Versions(software=device.software, model=device.model_version),
        queue=heartbeat.Queue(waiting=device.queue_depth),
        notices=(notice,) if device.errors else (),
        temperature_c=device.temperature,
        memory_bytes=118_000_000,
        disk=heartbeat.Disk(free_bytes=11_000_000_000, kept_bytes=340_000_000),
        camera="picamera imx477",
    )
    return beat.model_dump(mode="json", by_alias=True)

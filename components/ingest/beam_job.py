"""Runs jobs of the worker processes on Apache Beam, whatever its runner."""

from __future__ import annotations

import base64
import os
import pickle
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, cast

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from components.ingest import progress
from components.ingest.check import CheckJob
from components.ingest.pool import Pool
from components.ingest.worker import Job, Result


class RunJobs(beam.DoFn):
    """Runs jobs in worker processes, several at a time, and gives their results in any order."""

    def __init__(self, workers: int | None, listener: str) -> None:
        """Keep what is pickled.

        Args:
            workers: processes; None is one for each core, 0 runs the jobs in the Beam worker.
            listener: name for ``progress.advance``.
        """
        self._workers = workers
        self._listener = listener
        self._pool: Pool | None = None
        self._waiting: list[tuple[int, Future[Result]]] = []

    def setup(self) -> None:
        """Prepare the processes; each starts with its first job."""
        self._pool = Pool(cores() if self._workers is None else self._workers)

    def process(self, element: bytes) -> Iterator[bytes]:
        """Start a job and give what is finished; at most a few jobs wait for a process."""
        job = cast(Job, pickle.loads(element))  # noqa: S301 - made by this module
        assert self._pool is not None  # noqa: S101 - Beam calls setup first
        size = len(job.files) if isinstance(job, CheckJob) else len(job.records)
        self._waiting.append((size, self._pool.submit(job)))
        limit = 4 * max(1, cores() if self._workers is None else self._workers)
        while self._waiting and (self._waiting[0][1].done() or len(self._waiting) > limit):
            yield self._next()

    def finish_bundle(self) -> Iterator[Any]:
        """Give the rest."""
        window = GlobalWindow()
        while self._waiting:
            yield WindowedValue(self._next(), window.max_timestamp(), [window])

    def teardown(self) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.close()

    def _next(self) -> bytes:
        size, future = self._waiting.pop(0)
        result = future.result()
        progress.advance(self._listener, size)
        return pickle.dumps(result)


def run(
    jobs: Sequence[Job], options: Sequence[str], workers: int | None, listener: str, folder: Path
) -> list[Result]:
    """Run ``jobs`` as a Beam pipeline and return their results, in any order.

    Args:
        jobs: what to do.
        options: Beam's pipeline options.
        workers: processes beside each Beam worker, as in ``RunJobs``.
        listener: name for ``progress.advance``.
        folder: where the pipeline leaves its results; every worker must reach it.
    """
    if not jobs:
        return []
    prefix = str(folder / "results")
    # No "with": it would hide the first exception behind a second one.
    pipeline = beam.Pipeline(options=PipelineOptions(list(options)))
    _ = (
        pipeline
        | "Jobs" >> beam.Create([pickle.dumps(job) for job in jobs], reshuffle=True)
        | "Run" >> beam.ParDo(RunJobs(workers, listener)).with_output_types(bytes)
        | "Lines" >> beam.Map(base64.b64encode).with_output_types(bytes)
        | "Results" >> beam.io.WriteToText(prefix, coder=beam.coders.BytesCoder())
    )
    pipeline.run().wait_until_finish()
    results: list[Result] = []
    for path in sorted(folder.glob("results*")):
        lines = path.read_bytes().splitlines()
        results += [pickle.loads(base64.b64decode(line)) for line in lines]  # noqa: S301 - written just above
        path.unlink()
    return results


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))

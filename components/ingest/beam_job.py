"""Runs jobs of the worker processes on Apache Beam, whatever its runner."""

from __future__ import annotations

import pickle
import shutil
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import cast
from uuid import uuid4

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from components.ingest import pool as pools
from components.ingest import progress
from components.ingest.check import CheckJob
from components.ingest.pool import Pool
from components.ingest.shard import ChangedError
from components.ingest.worker import Job, Result
from core.process import cores


class RunJobs(beam.DoFn):
    """Runs jobs in worker processes, several at a time; jobs and results are files called after the job's number.

    So the pipeline itself stays small however much there is to do, and a bundle that is tried again writes the same
    file again.
    """

    def __init__(self, folder: str, workers: int | None, pool: str, listener: str) -> None:
        """Keep what is pickled.

        Args:
            folder: with the jobs and for the results; every worker must reach it.
            workers: processes; None is one for each core, 0 runs the jobs in the Beam worker.
            pool: name of the shared pool that is used where there is one; elsewhere a pool is started.
            listener: name for ``progress.advance``.
        """
        self._folder = folder
        self._workers = workers
        self._shared = pool
        self._listener = listener
        self._pool: Pool | None = None
        self._waiting: deque[tuple[int, int, Future[Result]]] = deque()

    def setup(self) -> None:
        """Prepare the processes."""
        self._pool = pools.find(self._shared) or Pool(size(self._workers))

    def process(self, element: int) -> None:
        """Start a job and save what is finished; a few jobs may wait for a process."""
        job = cast(Job, pickle.loads(Path(self._folder, f"{element}.job").read_bytes()))  # noqa: S301 - by this module
        assert self._pool is not None  # noqa: S101 - Beam calls setup first
        images = len(job.files) if isinstance(job, CheckJob) else len(job.records)
        self._waiting.append((element, images, self._pool.submit(job)))
        while self._waiting and (
            self._waiting[0][2].done() or len(self._waiting) > 4 * max(1, size(self._workers))
        ):
            self._save_next()

    def finish_bundle(self) -> None:
        """Save the rest."""
        while self._waiting:
            self._save_next()

    def teardown(self) -> None:
        """End the processes."""
        if self._pool is not None and self._pool is not pools.find(self._shared):
            self._pool.close()

    def _save_next(self) -> None:
        number, images, future = self._waiting.popleft()
        result: Result | Exception
        try:
            result = future.result()
        # What a user can mend goes back as it is; Beam would turn it into a RuntimeError with its traceback as text.
        except (ChangedError, OSError) as error:
            result = error
        data = pickle.dumps(result)
        partial = Path(self._folder, f".{number}.{uuid4().hex}")
        partial.write_bytes(data)
        partial.rename(Path(self._folder, f"{number}.result"))
        progress.advance(self._listener, images)


def run(
    jobs: Sequence[Job], options: Sequence[str], workers: int | None, pool: str, listener: str, folder: Path
) -> list[Result]:
    """Run ``jobs`` as a Beam pipeline and return their results in the order of the jobs.

    Args:
        jobs: what to do.
        options: Beam's pipeline options.
        workers: processes beside each Beam worker, as in ``RunJobs``.
        pool: name of the shared pool for the workers in this process.
        listener: name for ``progress.advance``.
        folder: a sub-folder for jobs and results is made there and removed again.
    """
    exchange = folder / "exchange"
    exchange.mkdir()
    for number, job in enumerate(jobs):
        (exchange / f"{number}.job").write_bytes(pickle.dumps(job))
    # No "with": it would hide the first exception behind a second one.
    pipeline = beam.Pipeline(options=PipelineOptions(list(options)))
    _ = (
        pipeline
        | "Jobs" >> beam.Create(range(len(jobs)), reshuffle=len(jobs) > 1)
        | "Run" >> beam.ParDo(RunJobs(str(exchange), workers, pool, listener))
    )
    pipeline.run().wait_until_finish()
    found = [pickle.loads((exchange / f"{number}.result").read_bytes()) for number in range(len(jobs))]  # noqa: S301
    shutil.rmtree(exchange)
    for result in found:
        if isinstance(result, Exception):
            raise result
    return found


def size(workers: int | None) -> int:
    """How many processes ``IngestConfig.decoders`` means here."""
    return cores() if workers is None else workers

"""Runs jobs of the worker processes on Apache Beam, whatever its runner."""

from __future__ import annotations

import pickle
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Final, cast
from uuid import uuid4

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from components.ingest.config import IngestConfig
from components.ingest.pool import Pool
from components.ingest.shard import ChangedError
from components.ingest.worker import Job, Result
from core.process import cores

Listener = Callable[[str, int, int], None]


class JobRunner:
    """Runs jobs as Beam pipelines; Beam workers in this process share its pool, those in others start their own."""

    def __init__(self, config: IngestConfig, folder: Path, listener: Listener | None) -> None:
        """Start nothing yet, see :func:`started`; every Beam worker must reach the folder.

        The listener is called with the stage, and images done and in all.
        """
        self.folder = folder
        self.pool = Pool(_size(config.decoders))
        self._config = config
        self._listener = listener
        self._stage, self._done, self._total = "", 0, 0
        self.name = uuid4().hex

    def run(self, stage: str, jobs: Sequence[Job]) -> list[Result]:
        """Run ``jobs`` and return their results in the order of the jobs; ``stage`` is for the listener."""
        self._stage, self._done, self._total = stage, 0, sum(map(len, jobs))
        self.advance(0)
        exchange = self.folder / "exchange"
        exchange.mkdir()
        for number, job in enumerate(jobs):
            (exchange / f"{number}.job").write_bytes(pickle.dumps(job))
        # No "with": it would hide the first exception behind a second one.
        pipeline = beam.Pipeline(options=PipelineOptions(list(self._config.beam_options)))
        _ = (
            pipeline
            | "Jobs" >> beam.Create(range(len(jobs)), reshuffle=len(jobs) > 1)
            | "Run" >> beam.ParDo(RunJobs(str(exchange), self._config.decoders, self.name))
        )
        pipeline.run().wait_until_finish()
        found = [pickle.loads((exchange / f"{number}.result").read_bytes()) for number in range(len(jobs))]  # noqa: S301
        shutil.rmtree(exchange)
        for result in found:
            if isinstance(result, Exception):
                raise result
        return found

    def advance(self, count: int) -> None:
        """Tell the listener that ``count`` more images are done."""
        self._done += count
        if self._listener is not None:
            self._listener(self._stage, self._done, self._total)


# Beam serialises its functions, so they carry a name and not the runner. On another machine there is none of it.
_RUNNERS: Final[dict[str, JobRunner]] = {}


@contextmanager
def started(config: IngestConfig, folder: Path, listener: Listener | None) -> Iterator[JobRunner]:
    """Yield a runner with its processes; they end with the block. The arguments are ``JobRunner``'s."""
    runner = JobRunner(config, folder, listener)
    _RUNNERS[runner.name] = runner
    try:
        runner.pool.start()
        yield runner
    finally:
        del _RUNNERS[runner.name]
        runner.pool.close()


class RunJobs(beam.DoFn):
    """Runs jobs in worker processes, several at a time; jobs and results are files called after the job's number.

    So the pipeline itself stays small however much there is to do, and a bundle that is tried again writes the same
    file again.
    """

    def __init__(self, folder: str, workers: int | None, runner: str) -> None:
        """Keep what is pickled: the folder of jobs and results, ``IngestConfig.decoders``, and the runner's name."""
        self._folder = folder
        self._workers = workers
        self._runner = runner
        self._pool: Pool | None = None
        self._waiting: deque[tuple[int, int, Future[Result]]] = deque()

    def setup(self) -> None:
        """Prepare the processes."""
        runner = _RUNNERS.get(self._runner)
        self._pool = runner.pool if runner else Pool(_size(self._workers))

    def process(self, element: int) -> None:
        """Start a job and save what is finished; a few jobs may wait for a process."""
        job = cast(Job, pickle.loads(Path(self._folder, f"{element}.job").read_bytes()))  # noqa: S301 - by this module
        assert self._pool is not None  # noqa: S101 - Beam calls setup first
        self._waiting.append((element, len(job), self._pool.submit(job)))
        while self._waiting and (
            self._waiting[0][2].done() or len(self._waiting) > 4 * max(1, _size(self._workers))
        ):
            self._save_next()

    def finish_bundle(self) -> None:
        """Save the rest."""
        while self._waiting:
            self._save_next()

    def teardown(self) -> None:
        """End the processes."""
        if self._pool is not None and self._runner not in _RUNNERS:
            self._pool.close()

    def _save_next(self) -> None:
        number, images, future = self._waiting.popleft()
        result: Result | Exception
        try:
            result = future.result()
        # What a user can mend goes back as it is; Beam would turn it into a RuntimeError with its traceback as text.
        except (ChangedError, OSError) as error:
            result = error
        partial = Path(self._folder, f".{number}.{uuid4().hex}")
        partial.write_bytes(pickle.dumps(result))
        partial.rename(Path(self._folder, f"{number}.result"))
        if runner := _RUNNERS.get(self._runner):
            runner.advance(images)


def _size(workers: int | None) -> int:
    """How many processes ``IngestConfig.decoders`` means here."""
    return cores() if workers is None else workers

"""Runs jobs in worker processes, and outlives the ones that crash."""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

import components
from components.ingest import worker
from components.ingest.check import CheckJob, Outcome
from components.ingest.worker import Job, Result

COMMAND = (sys.executable, "-m", worker.__name__)
_TIMEOUT: Final = 60.0
_TIMEOUT_PER_FILE: Final = 5.0


class WorkerDiedError(Exception):
    """A worker process ended, or was ended for taking too long, in the middle of a job."""


class Pool:
    """``size`` worker processes; 0 runs the jobs in this process, when they are submitted."""

    def __init__(self, size: int, timeout: float = _TIMEOUT) -> None:
        """Start nothing yet: each process is started by its first job.

        Args:
            size: how many processes.
            timeout: seconds until a process that does not answer is killed; five more for each file of a job.
        """
        self._timeout = timeout
        self._idle: queue.SimpleQueue[subprocess.Popen[bytes] | None] = queue.SimpleQueue()
        self._size = size
        for _ in range(size):
            self._idle.put(None)
        self._threads = ThreadPoolExecutor(size) if size else None

    def start(self) -> None:
        """Start the processes now, so that they are ready when the first job comes."""
        if self._threads is not None:
            for process in [self._idle.get() for _ in range(self._size)]:
                self._idle.put(process or _start())

    def submit(self, job: Job) -> Future[Result]:
        """Do ``job`` when a process is free."""
        if self._threads is not None:
            return self._threads.submit(self._do, job)
        done: Future[Result] = Future()
        try:
            done.set_result(worker.run(job))
        except Exception as error:
            done.set_exception(error)
        return done

    def close(self) -> None:
        """Drop the jobs that wait, let the running ones end, then end the processes."""
        if self._threads is None:
            return
        self._threads.shutdown(wait=True, cancel_futures=True)
        while not self._idle.empty():
            process = self._idle.get()
            if process is not None:
                _end(process)

    def _do(self, job: Job) -> Result:
        try:
            return self._ask(job)
        except WorkerDiedError as died:
            if not isinstance(job, CheckJob):
                raise
            if len(job) == 1:
                return [Outcome(job.files[0][0], "decoder_died", str(died))]
        # One file of the batch did it: find it, the others are good.
        results: list[Outcome] = []
        for file in job.files:
            single = self._do(CheckJob((file,), job.limits, job.staging))
            assert isinstance(single, list)  # noqa: S101 - for the type checker
            results += single
        return results

    def _ask(self, job: Job) -> Result:
        process = self._idle.get()
        answer: object
        watch: threading.Timer | None = None
        try:
            if process is None:
                process = _start()
            watch = threading.Timer(self._timeout + _TIMEOUT_PER_FILE * len(job), process.kill)
            watch.daemon = True
            watch.start()
            assert process.stdin is not None  # noqa: S101 - for the type checker
            assert process.stdout is not None  # noqa: S101
            pickle.dump(job, process.stdin, pickle.HIGHEST_PROTOCOL)
            process.stdin.flush()
            answer = pickle.load(process.stdout)  # noqa: S301 - from our own child, over its pipe
        except (EOFError, BrokenPipeError, pickle.UnpicklingError):
            code = _end(process) if process is not None else 0
            process = None
            raise WorkerDiedError(f"the decoder process ended with code {code}") from None
        finally:
            if watch is not None:
                watch.cancel()
            self._idle.put(process)
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[return-value] # what the worker sends is a Result


def _start() -> subprocess.Popen[bytes]:
    # One thread each: the processes are the parallelism.
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    root = str(Path(components.__file__).parents[1])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(
        COMMAND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **threads, "PYTHONPATH": path},
    )


def _end(process: subprocess.Popen[bytes]) -> int:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            try:
                pipe.close()
            except BrokenPipeError:
                continue
    try:
        return process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()

"""Long JSON bodies are read in processes of their own.

The parser holds the interpreter's lock: 10 MB of numbers in the server's own process would stop every other caller for
half a second. A worker is started with the first long body and ends when its standard input does, so none outlives
the server.

Each way a message is an 8-byte little-endian length and so many bytes, a JSON header and then a payload: the types of
the model's inputs (null for a request of examples) with the body in; the status with the serialised request out.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import json
import os
import queue
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from serving.api import json_requests
from serving.api.json_tensors import Dtypes
from serving.operations.memory import JsonSize
from serving.protos import classification_pb2, predict_pb2
from serving.status import CODES, Code, ServingError, internal

# From here a body is long: about 20 ms of the parser for so many values, 2 ms for so many bytes of one text.
_LONG_VALUES, _LONG_BYTES = 50_000, 1 << 20
# A tenth of a core if somebody else wants it.
_NICENESS = 10
_PIPE_BYTES = 1 << 20

Body = bytes | bytearray | memoryview


def is_long(size: JsonSize) -> bool:
    """Whether a body must not be parsed in the server's process."""
    return size.values >= _LONG_VALUES or size.length >= _LONG_BYTES


def read_chunk(stream: IO[bytes]) -> bytes | None:
    """Return one length-prefixed chunk; None at the end."""
    header = stream.read(8)
    if len(header) < 8:
        return None
    return stream.read(struct.unpack("<Q", header)[0])


def write_chunk(stream: IO[bytes], data: Body) -> None:
    """Write one length-prefixed chunk."""
    stream.write(struct.pack("<Q", len(data)))
    stream.write(data)
    stream.flush()


class JsonWorkers:
    """So many processes, each started when it is first needed. Thread-safe."""

    def __init__(self, count: int) -> None:
        self._idle: queue.LifoQueue[subprocess.Popen[bytes] | None] = queue.LifoQueue()
        for _ in range(count):
            self._idle.put(None)
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()

    def fill(
        self, body: Body, signatures: Mapping[str, Dtypes] | None, request: Any, timeout_s: float | None
    ) -> str:
        """Do as json_requests.fill_predict; as fill_examples without `signatures`."""
        try:
            worker = self._idle.get(timeout=timeout_s)
        except queue.Empty:
            raise ServingError(
                Code.DEADLINE_EXCEEDED, "Deadline exceeded while waiting for the body to be read"
            ) from None
        alive: subprocess.Popen[bytes] | None = None
        timer: threading.Timer | None = None
        try:
            if worker is None or worker.poll() is not None:
                worker = self._start()
            if timeout_s is not None:
                timer = threading.Timer(timeout_s, worker.kill)
                timer.start()
            answer, message = _ask(worker, signatures, body)
            alive = worker
        finally:
            if timer is not None:
                timer.cancel()
            self._idle.put(alive)
        if answer["code"]:
            raise ServingError(CODES[answer["code"]], answer["message"])
        request.MergeFromString(message)
        return str(answer["form"])

    def _start(self) -> subprocess.Popen[bytes]:
        worker = subprocess.Popen(
            [sys.executable, "-m", "serving.api.json_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).resolve().parents[2],
        )
        for pipe in (worker.stdin, worker.stdout):
            # Sixteen times as much at once: each time one of the two waits, the other is woken.
            with contextlib.suppress(OSError, AttributeError):  # Linux alone knows it
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)  # type: ignore[arg-type]
        with self._lock:
            self._running = {one for one in self._running if one.poll() is None} | {worker}
        return worker

    def close(self) -> None:
        """End all processes."""
        with self._lock:
            for worker in self._running:
                worker.kill()
                worker.wait()
                for pipe in (worker.stdin, worker.stdout):
                    if pipe is not None:
                        with contextlib.suppress(OSError):
                            pipe.close()
            self._running.clear()


def _ask(worker: subprocess.Popen[bytes], header: Any, body: Body) -> tuple[dict[str, Any], bytes]:
    if worker.stdin is None or worker.stdout is None:
        raise internal("the process that reads JSON has no pipes")
    try:
        write_chunk(worker.stdin, json.dumps(header).encode())
        write_chunk(worker.stdin, body)
        answer, message = read_chunk(worker.stdout), read_chunk(worker.stdout)
    except OSError:
        answer = message = None
    if answer is None or message is None:
        raise ServingError(Code.DEADLINE_EXCEEDED, "Deadline exceeded while the body was read")
    return json.loads(answer), message


def _read(signatures: Mapping[str, Dtypes] | None, body: bytes) -> tuple[dict[str, Any], bytes]:
    """Fill a request; the answer's header and the request."""
    request: Any
    try:
        if signatures is None:
            # A RegressionRequest has the same fields.
            request, form = classification_pb2.ClassificationRequest(), ""
            json_requests.fill_examples(body, request)
        else:
            request = predict_pb2.PredictRequest()
            form = json_requests.fill_predict(body, lambda: signatures, request)
    except ServingError as error:
        return {"code": error.code.value[0], "message": error.message}, b""
    return {"code": 0, "form": form}, request.SerializeToString()


def main() -> None:
    """Answer until standard input ends."""
    # Ctrl-C is the server's; it closes the pipe when it has finished.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.nice(_NICENESS)
    # Millions of values and no cycles: the collector would look at all of them again and again.
    gc.disable()
    while (header := read_chunk(sys.stdin.buffer)) is not None:
        answer, message = _read(json.loads(header), read_chunk(sys.stdin.buffer) or b"")
        write_chunk(sys.stdout.buffer, json.dumps(answer).encode())
        write_chunk(sys.stdout.buffer, message)


if __name__ == "__main__":
    main()

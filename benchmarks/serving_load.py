"""The load, in a process of its own: so many clients for so many seconds, latencies and CPU."""

from __future__ import annotations

import base64
import json
import os
import random
import resource
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.measuring import cpu_seconds, jpegs, tree_sum
from benchmarks.serving_connections import Connection, GrpcConnection, HttpConnection, Rows, ask_all

Window = Callable[[float], tuple[Rows, list[str]]]
MODEL = "lite0"


def grpc_connection(target: str, images: list[bytes]) -> Connection:
    """Predict, one image a request."""
    from core.tfserving.tensors import predict_request

    messages = [predict_request(MODEL, {"image_bytes": [one]}).SerializeToString() for one in images]
    return GrpcConnection(target, "/tensorflow.serving.PredictionService/Predict", messages)


def rest_connection(target: str, images: list[bytes]) -> Connection:
    """Base64 in JSON."""
    bodies = [json.dumps({"instances": [{"b64": base64.b64encode(one).decode()}]}).encode() for one in images]
    return HttpConnection(target, f"/v1/models/{MODEL}:predict", bodies, "application/json")


def multipart_connection(target: str, images: list[bytes]) -> Connection:
    """A form upload."""
    bodies = [
        b'--B\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n'
        b"Content-Type: image/jpeg\r\n\r\n" + one + b"\r\n--B--\r\n"
        for one in images
    ]
    return HttpConnection(target, "/predict", bodies, "multipart/form-data; boundary=B")


CONNECTIONS = {"grpc": grpc_connection, "rest": rest_connection, "multipart": multipart_connection}


def in_process(folder: str, images: list[bytes], batch: int, threads: int) -> Window:
    """The graph, called without any server, by so many threads."""
    from core.tfserving.tensors import to_proto
    from serving.engine.capi import use_onednn
    from serving.engine.model import read_meta_graph
    from serving.engine.session import Session
    from serving.engine.tensors import from_proto

    use_onednn()  # as the server does
    session = Session(Path(folder))
    signature = read_meta_graph(Path(folder), ["serve"]).signature_def["serving_default"]
    plan = session.plan(
        [signature.inputs["image_bytes"].name], [info.name for info in signature.outputs.values()]
    )

    def ask() -> None:
        feed = from_proto(to_proto(random.choices(images, k=batch)), "image_bytes")
        for tensor in session.run(plan, [feed]):
            tensor.numpy()

    def work(end: float, rows: Rows) -> None:
        while (start := time.time()) < end:
            ask()
            rows.append((start, time.time() - start))

    def window(end: float) -> tuple[Rows, list[str]]:
        rows: Rows = []
        with ThreadPoolExecutor(threads) as pool:
            for done in [pool.submit(work, end, rows) for _ in range(threads)]:
                done.result()
        return rows, []

    for _ in range(4):
        ask()
    return window


def _cpu_times(pid: int) -> Any:
    """CPU seconds so far: of this process, of the server's and all below it, of the whole machine."""
    used, busy = resource.getrusage(resource.RUSAGE_SELF), psutil.cpu_times()
    return np.array(
        [
            used.ru_utime + used.ru_stime,
            tree_sum(pid, cpu_seconds) if pid else 0.0,
            sum(busy) - busy.idle - busy.iowait - getattr(busy, "guest", 0.0),
        ]
    )


def measured(window: Window, seconds: float, pid: int) -> dict[str, Any]:
    """Run a window and say what came of it, and what it cost this process, the server's and the rest."""
    used, began = _cpu_times(pid), time.time()
    rows, errors = window(began + seconds)
    lasted = time.time() - began
    client, server, machine = (float(one) for one in _cpu_times(pid) - used)
    others = max(0.0, machine - client - server)
    latencies = np.array([latency for _, latency in rows]) * 1000
    percent = {f"p{q}": float(np.percentile(latencies, q)) if len(latencies) else 0.0 for q in (50, 90, 99)}
    return {
        "requests": len(rows), "seconds": lasted, "per_second": len(rows) / lasted, **percent,
        "errors": len(errors), "first_error": errors[0] if errors else "",
        "client_cpu_ms": client * 1000 / max(1, len(rows)), "server_cpu_ms": server * 1000 / max(1, len(rows)),
        "others_cores": others / lasted, "rows": rows,
    }  # fmt: skip


def load(kind: str, target: str, images: Path, **flags: Any) -> dict[str, Any]:
    """One window, asked by a fresh process; see `ask`."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_begin) as process:
        return process.submit(ask, kind, target, images, **flags).result()


def _begin() -> None:
    """Say nothing, since TensorFlow's own lines would stand between the benchmark's, and end when that is killed."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    # A pool's process waits for its next task on a pipe that it holds open itself.
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def ask(
    kind: str,
    target: str,
    images: Path,
    *,
    clients: int = 1,
    batch: int = 1,
    seconds: float = 10,
    rate: float = 0,
    pid: int = 0,
) -> dict[str, Any]:
    """Ask a server, or the graph itself.

    Args:
        kind: of CONNECTIONS, or `inprocess`.
        target: host:port; the version folder for `inprocess`.
        images: folder of JPEGs.
        clients: how many ask at once; threads for `inprocess`.
        batch: images a run, for `inprocess`.
        seconds: length of the window.
        rate: requests a second of all clients together; 0: each asks as soon as it has its answer.
        pid: the server's process, for its CPU time.
    """
    pictures = jpegs(images)
    if kind == "inprocess":
        return measured(in_process(target, pictures, batch, clients), seconds, pid)
    connections = [CONNECTIONS[kind](target, pictures) for _ in range(clients)]
    ask_all(connections[:4], time.time() + 0.2)
    return measured(partial(ask_all, connections, rate=rate), seconds, pid)

"""The load, in a process of its own: so many clients for so many seconds, latencies and CPU as JSON.

python -m benchmarks.serving_load --kind grpc --target 127.0.0.1:8500 --clients 32 --seconds 10 --images DIR
"""

from __future__ import annotations

import base64
import json
import random
import resource
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.measuring import command_line, cpu_seconds, jpegs, tree_sum
from benchmarks.serving_connections import Connection, GrpcConnection, HttpConnection, Rows, ask_all

Window = Callable[[float], tuple[Rows, list[str]]]


def grpc_connection(target: str, images: list[bytes], model: str) -> Connection:
    """Predict, one image a request."""
    from core.tfserving.tensors import predict_request

    messages = [predict_request(model, {"image_bytes": [one]}).SerializeToString() for one in images]
    return GrpcConnection(target, "/tensorflow.serving.PredictionService/Predict", messages)


def rest_connection(target: str, images: list[bytes], model: str) -> Connection:
    """Base64 in JSON."""
    bodies = [json.dumps({"instances": [{"b64": base64.b64encode(one).decode()}]}).encode() for one in images]
    return HttpConnection(target, f"/v1/models/{model}:predict", bodies, "application/json")


def multipart_connection(target: str, images: list[bytes], model: str) -> Connection:
    """A form upload."""
    del model
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
    from serving.engine.session import Session
    from serving.engine.tensors import from_proto

    use_onednn()  # as the server does
    session = Session(Path(folder))
    signature = session.meta_graph.signature_def["serving_default"]
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


def measured(window: Window, seconds: float, pid: int = 0) -> dict[str, Any]:
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


def main() -> None:
    """Parse the flags, drive, print."""
    parser = command_line(__doc__)
    parser.add_argument("--kind", choices=[*CONNECTIONS, "inprocess"], required=True)
    parser.add_argument("--target", required=True, help="host:port, or the version folder for inprocess")
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--model", default="lite0")
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rate", type=float, default=0)
    parser.add_argument("--pid", type=int, default=0, help="the server's process, for its CPU time")
    parser.add_argument("--rows", help="file for start times and latencies")
    flags = parser.parse_args()
    images = jpegs(flags.images)
    if flags.kind == "inprocess":
        window = in_process(flags.target, images, flags.batch, flags.clients)
    else:
        connections = [
            CONNECTIONS[flags.kind](flags.target, images, flags.model) for _ in range(flags.clients)
        ]
        window = partial(ask_all, connections, rate=flags.rate)
        ask_all(connections[:4], time.time() + 0.2)
    result = measured(window, flags.seconds, flags.pid)
    rows = result.pop("rows")
    if flags.rows:
        Path(flags.rows).write_text(json.dumps(rows))
    print(json.dumps(result))


if __name__ == "__main__":
    main()

"""What the server adds on a graph that costs nothing, and what its worst requests cost it and its other callers.

Part of `python benchmarks/serving.py` (alone: `--only-small`). The attacker and the other callers are processes of
their own; memory is the peak of the server and the processes it started, above its idle level.
"""

from __future__ import annotations

import base64
import gzip
import http.client
import json
import multiprocessing
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from benchmarks.measuring import ROOT, image_folder, jpegs, rss, sampled, tree_sum
from core.tfserving.tensors import predict_request, to_proto

BUDGET = 256 << 20
REQUESTS = 400
PATH = "/v1/models/m:predict"
SMALL = '{"instances": [1.0]}'
Row = tuple[str, str, str, str]


def measure(
    work: Path, rounds: int, say: Callable[[str], None], network: Path | None = None
) -> Iterator[Row]:
    """Yield the rows: name, value, wanted, note; `network` is a folder that serving_model.py has written."""
    from tests.support.server_process import ServerProcess

    folder = work / "small"
    make = (
        "from pathlib import Path; from tests.support.model_zoo import affine, many;"
        f"affine(Path({str(folder)!r}) / 'm' / '1'); many(Path({str(folder)!r}) / 'many' / '1')"
    )
    subprocess.run([sys.executable, "-c", make], check=True, cwd=ROOT, capture_output=True)
    config = folder / "models.config"
    served = {name: folder / name for name in ("m", "many")}
    if network is not None:
        (folder / "lite0").mkdir()
        (folder / "lite0" / "1").symlink_to(network / "1")
        served["lite0"] = folder / "lite0"
    config.write_text(
        "model_config_list {"
        + "".join(
            f'config {{ name: "{name}" base_path: "{base}" model_platform: "tensorflow" }}'
            for name, base in served.items()
        )
        + "}"
    )
    with ServerProcess(
        folder / "server", f"--model_config_file={config}", f"--max_request_memory_bytes={BUDGET}"
    ) as server:
        say("one keep-alive client on a graph that costs nothing")
        yield from _added(server, folder, rounds)
        say("10 MB of malformed JSON")
        asks = {"a graph that costs nothing": (PATH, SMALL)}
        if network is not None:
            image = base64.b64encode(jpegs(image_folder(work))[0]).decode()
            body = json.dumps({"instances": [{"b64": image}]})
            asks["EfficientNet-Lite0"] = "/v1/models/lite0:predict", body
        yield from _malformed(server.ports["rest"], asks, rounds)
        say("bombs")
        yield from _bombs(server)


def _added(server: Any, folder: Path, rounds: int) -> Iterator[Row]:
    from serving.engine.model import read_meta_graph
    from serving.engine.session import Session
    from serving.engine.tensors import from_proto

    session = Session(folder / "m" / "1")
    signature = read_meta_graph(folder / "m" / "1", ["serve"]).signature_def["serving_default"]
    plan = session.plan([signature.inputs["x"].name], [one.name for one in signature.outputs.values()])
    feed = from_proto(to_proto(np.array([1.0], np.float32)), "x")
    message = predict_request("m", {"x": [1.0]}).SerializeToString()
    call = server.channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
    ask = _keep_alive(server.ports["rest"], PATH)
    ways: dict[str, Callable[[], object]] = {
        "bare": lambda: session.run(plan, [feed]),
        "REST": lambda: ask(SMALL),
        "gRPC": lambda: call(message, timeout=30),
    }
    p50s: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            way()
            p50s[name].append(statistics.median(_clocked(way) for _ in range(REQUESTS)))
    for name in ("REST", "gRPC"):
        added = [one - bare for one, bare in zip(p50s[name], p50s["bare"], strict=True)]
        yield (
            f"p50 added over the bare graph, {name} keep-alive, 1 client",
            f"{statistics.median(added):.2f} ms",
            "<= 1 ms",
            "a graph that costs nothing; rounds: " + ", ".join(f"{one:.2f}" for one in added),
        )


def _clocked(way: Callable[[], object]) -> float:
    began = time.perf_counter()
    way()
    return (time.perf_counter() - began) * 1000


def _keep_alive(port: int, path: str) -> Callable[[str | bytes], int]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.connect()
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(body: str | bytes) -> int:
        connection.request("POST", path, body)
        response = connection.getresponse()
        response.read()
        return response.status

    return ask


def _other_caller(port: int, path: str, body: str, seconds: float) -> list[float]:
    """In a process of its own, a request every few milliseconds; return the latencies."""
    send = _keep_alive(port, path)
    send(body)
    latencies, end = [], time.time() + seconds
    while time.time() < end:
        latencies.append(_clocked(lambda: send(body)))
        time.sleep(0.005)
    return latencies


def _attacker(port: int, bodies: dict[str, bytes], seconds: float) -> dict[str, float]:
    """In a process of its own, one body after the other; return the longest each took, in seconds.

    Its own work must not be what disturbs, so it has a low priority.
    """
    os.nice(10)
    send = _keep_alive(port, PATH)
    took: dict[str, float] = dict.fromkeys(bodies, 0.0)
    end = time.time() + seconds
    while time.time() < end:
        for name, body in bodies.items():
            took[name] = max(took[name], _clocked(lambda body=body: send(body)) / 1000)  # type: ignore[misc]
    return took


def _p99(latencies: list[float]) -> float:
    return sorted(latencies)[int(len(latencies) * 0.99)]


def _malformed(port: int, asks: dict[str, tuple[str, str]], rounds: int) -> Iterator[Row]:
    bodies = {
        "cut off": b'{"instances":[' + b"[1.0,2.0]," * 1_000_000,
        "one long string": b'{"instances":["' + b"x" * 10_000_000,
        "open lists": b'{"instances":' + b"[" * 10_000_000,
    }
    seconds = 5.0
    send = _keep_alive(port, PATH)
    for body in bodies.values():
        send(body)  # the process that reads long bodies starts with the first
    worst: dict[str, float] = dict.fromkeys(bodies, 0.0)
    rows: list[Row] = []
    # A fresh process a task: the attacker's priority must not become another caller's.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=spawn, max_tasks_per_child=1) as processes:
        for name, ask in asks.items():
            ratios, seen = [], []
            for _ in range(rounds):
                quiet = processes.submit(_other_caller, port, *ask, seconds).result()
                attack = processes.submit(_attacker, port, bodies, seconds + 3)
                during = processes.submit(_other_caller, port, *ask, seconds).result()
                worst = {one: max(worst[one], value) for one, value in attack.result().items()}
                ratios.append(_p99(during) / _p99(quiet))
                seen.append(f"{_p99(during):.1f} ms of {len(during)} / {_p99(quiet):.1f} ms of {len(quiet)}")
            note = "; ".join(seen) + "; one such body after the other, from a client of low priority"
            title = f"other callers' p99 meanwhile / before, {name}"
            rows.append((title, f"{statistics.median(ratios):.2f}", "<= 1.5", note))
    slowest = ", ".join(f"{name} {value:.2f} s" for name, value in worst.items())
    yield "10 MB of malformed JSON, slowest answer", f"{max(worst.values()):.2f} s", "<= 0.5 s", slowest
    yield from rows


def _bombs(server: Any) -> Iterator[Row]:
    def tree() -> float:
        return tree_sum(server.process.pid, rss)

    def repeated(count: int) -> None:
        request = predict_request("many", {"text": [b"x" * 100_000]}, signature="strings")
        request.inputs["text"].tensor_shape.dim[0].size = count
        call = server.channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        try:
            call(request.SerializeToString(), timeout=60)
        except grpc.RpcError:
            return

    zipped = gzip.compress(b'{"instances": [1.0' + b" " * 200_000_000 + b"]}")
    numbers = b'{"instances": [1.0' + b",1.0" * 20_000_000 + b"]}"

    def gzipped(_: int = 0) -> None:
        server.http("POST", PATH, zipped, {"Content-Encoding": "gzip"})

    def three() -> None:
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(gzipped, range(3)))

    bombs: dict[str, Callable[[], None]] = {
        "one 100 kB string, shape [10000]": lambda: repeated(10_000),
        "one 100 kB string, shape [10000000]": lambda: repeated(10_000_000),
        f"gzip of {len(zipped) >> 10} kB that opens to 200 MB": gzipped,
        "three of them at once": three,
        "80 MB of numbers": lambda: (server.http("POST", PATH, numbers), None)[1],
    }
    for name, bomb in bombs.items():
        idle = tree()
        with sampled(tree, 0.005) as levels:
            bomb()
        above = (max([idle, *levels]) - idle) / 2**20
        limit = BUDGET / 2**20
        status, _ = server.post(PATH, json.loads(SMALL))
        yield (
            f"peak memory above idle: {name}",
            f"{above:.0f} MiB",
            f"<= {limit * 1.1:.0f} MiB",
            f"budget {limit:.0f} MiB; the next caller got {status}",
        )

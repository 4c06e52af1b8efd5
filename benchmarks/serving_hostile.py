"""Hostile clients for as long as asked: is the server alive and right afterwards, and what did it cost?

    python benchmarks/serving_hostile.py --images 10000 --seconds 60

Mutated JPEGs, mutated requests on gRPC and REST, generated JSON, hidden requests, bombs, slow and half-open
connections, a thousand connections at once. It ends with an error after any 500, a wrong answer, or growth.
"""

from __future__ import annotations

import collections
import gzip
import itertools
import json
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import grpc
import psutil

# As a script this folder comes first, and its serving.py would stand for the package of that name.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.measuring import ROOT, command_line, image_folder, jpegs  # noqa: E402

T = TypeVar("T")


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Flip, cut, insert, duplicate."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 10)):
        if not out:
            break
        at, kind = rng.randrange(len(out)), rng.random()
        if kind < 0.5:
            out[at] = rng.randrange(256)
        elif kind < 0.7:
            del out[at : at + rng.randint(1, 200)]
        elif kind < 0.85:
            out[at:at] = rng.randbytes(rng.randint(1, 64))
        else:
            out[at:at] = out[: rng.randint(1, 300)]
    return bytes(out)


def odd(rng: random.Random) -> tuple[str, bytes, dict[str, str]]:
    """A REST request of a kind that was answered wrongly once: path, body, headers."""
    path = "/v1/models/images:predict"
    depth = rng.choice([1, 60, 65, 200, 254, 255, 1020, 4000])
    nested = "[" * depth + rng.choice(["1.5", '"a"', "{}", ""]) + "]" * depth
    number = rng.choice(["1e400", "1e39", "3.4028235e38", str(-(2**63) - 1), "1" * 5000, "NaN", "-Infinity"])
    repeated = f"[{','.join([number] * rng.randint(1, 50))}]"
    value = rng.choice([nested, repeated, number, '{"b64":"a G k"}', '{"b64":"%"}', "null"])
    key = rng.choice(["instances", "inputs", "signature_name", "examples", "context"])
    text = f'{{"{key}":{value}{rng.choice(["}", "", "}}", "} more", ",1}"])}'
    body = text.encode() if rng.random() < 0.9 else mutate(text.encode(), rng)
    headers = {}
    if rng.random() < 0.3:
        body = gzip.compress(body) * rng.randint(1, 2)
        body = body[: len(body) - rng.choice([0, 0, 1, 8])]
        headers["Content-Encoding"] = rng.choice(["gzip", "x-gzip", "gzip, identity"])
    if rng.random() < 0.02:
        body, headers["Content-Encoding"] = gzip.compress(b" " * 50_000_000), "gzip"
    if rng.random() < 0.2:
        digits = "9" * rng.choice([1, 19, 20, 5000])
        verb = rng.choice(["predict", "classify", "regress"])
        path = f"/v1/models/images/versions/{digits}:{verb}"
    return path, body, headers


def smuggled(server: Any, rng: random.Random) -> bool:
    """Send a request whose body looks like another one; True if the server answers that one as well."""
    secret = b"GET /v1/models/images HTTP/1.1\r\nHost: h\r\n\r\n"
    extra = rng.choice(
        [
            "Upgrade: h2c\r\nConnection: Upgrade",
            "Upgrade: websocket\r\nConnection: Upgrade",
            "Transfer-Encoding: chunked",
            "Transfer-Encoding: xchunked",
            "Content-Length: 1",
            "Connection: close",
        ]
    )
    head = f"POST /v1/models/images:predict HTTP/1.1\r\nHost: h\r\nContent-Length: {len(secret)}\r\n{extra}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.ports["rest"]), timeout=20) as sock:
        sock.sendall(head.encode() + secret)
        sock.shutdown(socket.SHUT_WR)
        answer = b""
        while data := sock.recv(65536):
            answer += data
    return answer.count(b"HTTP/1.1 ") != 1


def ask(call: Callable[[], object]) -> str:
    """Make a gRPC call; return the name of its code."""
    try:
        call()
    except grpc.RpcError as error:
        return str(error.code().name)
    return "OK"


def tally(seconds: float, act: Callable[[], T]) -> collections.Counter[T]:
    """Do something again and again for so long; how often each answer came."""
    answers: collections.Counter[T] = collections.Counter()
    end = time.time() + seconds
    while time.time() < end:
        answers[act()] += 1
    return answers


def main() -> None:
    """Start a server on a small decoder model, attack it, report."""
    parser = command_line(__doc__)
    parser.add_argument("--images", type=int, default=10_000, help="mutated JPEGs")
    parser.add_argument("--seconds", type=float, default=60, help="of mutated messages on each protocol")
    parser.add_argument("--seed", type=int, default=1)
    flags = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="serving-hostile-"))
    make = f"from pathlib import Path; from tests.support.model_zoo import images; images(Path({str(work)!r}) / 'm' / '1')"
    subprocess.run([sys.executable, "-c", make], check=True, cwd=ROOT, capture_output=True)
    from core.tfserving.tensors import predict_request
    from tests.support.server_process import ServerProcess

    rng = random.Random(flags.seed)
    images = jpegs(image_folder(work))

    def probability() -> list[float]:
        answer = server.predict("images", {"image_bytes": images[:1]})
        return list(answer.outputs["probability"].float_val)

    with ServerProcess(
        work / "server", f"--model_base_path={work / 'm'}", "--model_name=images", "--enable_batching",
        "--rest_api_header_timeout_in_ms=3000",
    ) as server:  # fmt: skip
        process = psutil.Process(server.process.pid)
        expected = probability()
        print(f"before: {process.memory_info().rss / 1e6:.0f} MB, probability {expected}")

        began = time.time()
        codes = collections.Counter(
            ask(lambda: server.predict("images", {"image_bytes": [mutate(rng.choice(images), rng)]}))
            for _ in range(flags.images)
        )
        print(f"{flags.images} mutated JPEGs in {time.time() - began:.0f} s: {dict(codes)}")

        message = predict_request("images", {"image_bytes": images[:1]}).SerializeToString()
        call = server.channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        codes = tally(flags.seconds, lambda: ask(lambda: call(mutate(message, rng), timeout=30)))
        print(f"mutated gRPC messages: {dict(codes)}")

        body = json.dumps(
            {"signature_name": "serving_default", "instances": [{"b64": "/9j/4AAQ"}, {"b64": ""}]}
        ).encode()
        path = "/v1/models/images:predict"
        statuses = tally(flags.seconds, lambda: server.http("POST", path, mutate(body, rng))[0])
        print(f"mutated REST bodies: {dict(statuses)}")

        level = process.memory_info().rss
        statuses += tally(flags.seconds, lambda: server.http("POST", *odd(rng))[0])
        print(f"with generated requests: {dict(statuses)}")
        hidden = tally(flags.seconds / 4, lambda: smuggled(server, rng))[True]
        print(f"requests hidden in bodies that were answered: {hidden}")
        grown = (process.memory_info().rss - level) / 1e6
        print(f"grown by {grown:.0f} MB meanwhile")
        if hidden or grown > 200 or any(status >= 500 and status != 503 for status in statuses):
            raise SystemExit("the server gave a 500, took a body for a request, or grew")

        address = ("127.0.0.1", server.ports["rest"])
        begun = itertools.cycle(
            (
                b"",
                b"GET /v1/mod",
                b"POST /v1/models/images:predict HTTP/1.1\r\nHost: h\r\nContent-Length: 99\r\n\r\n{",
            )
        )
        held = [socket.create_connection(address, timeout=20) for _ in range(1000)]
        for sock, beginning in zip(held, begun, strict=False):
            sock.sendall(beginning)
        held += [
            socket.create_connection(("127.0.0.1", server.ports["grpc"]), timeout=20) for _ in range(200)
        ]
        again = probability()
        print(
            f"with 1,200 half-open connections: probability {again}, /readyz {server.http('GET', '/readyz')[0]}"
        )
        closed = sum(sock.recv(1) == b"" for sock in held[:1000])
        print(f"slow HTTP connections that the server closed: {closed} of 1000")
        for sock in held:
            sock.close()
        after = probability()
        print(f"after: {process.memory_info().rss / 1e6:.0f} MB, probability {after}")
        if not expected == again == after:
            raise SystemExit("the server no longer answers right")
        print(f"exit code {server.stop()}")


if __name__ == "__main__":
    main()

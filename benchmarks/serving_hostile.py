"""Hostile clients for as long as asked: is the server alive and right afterwards, and what did it cost?

    python benchmarks/serving_hostile.py --images 10000 --seconds 60

Mutated JPEGs, mutated requests on gRPC and REST, slow and half-open connections, a thousand connections at once.
"""

from __future__ import annotations

import argparse
import collections
import json
import random
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import grpc
import psutil

# As a script this folder comes first, and its serving.py would stand for the package of that name.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.serving_images import folder  # noqa: E402
from benchmarks.serving_load import images_of  # noqa: E402

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent


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


def main() -> None:
    """Start a server on a small decoder model, attack it, report."""
    parser = argparse.ArgumentParser(description=__doc__)
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

    jpegs = images_of(str(folder(work)))
    with ServerProcess(
        work / "server", f"--model_base_path={work / 'm'}", "--model_name=images", "--enable_batching",
        "--rest_api_header_timeout_in_ms=3000",
    ) as server:  # fmt: skip
        process = psutil.Process(server.process.pid)
        expected = list(server.predict("images", {"image_bytes": jpegs[:1]}).outputs["probability"].float_val)
        print(f"before: {process.memory_info().rss / 1e6:.0f} MB, probability {expected}")

        codes: collections.Counter[str] = collections.Counter()
        began = time.time()
        for _ in range(flags.images):
            try:
                server.predict("images", {"image_bytes": [mutate(rng.choice(jpegs), rng)]})
                codes["OK"] += 1
            except grpc.RpcError as error:
                codes[error.code().name] += 1
        print(f"{flags.images} mutated JPEGs in {time.time() - began:.0f} s: {dict(codes)}")

        message = predict_request("images", {"image_bytes": jpegs[:1]}).SerializeToString()
        call = server.channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        codes, end = collections.Counter(), time.time() + flags.seconds
        while time.time() < end:
            try:
                call(mutate(message, rng), timeout=30)
                codes["OK"] += 1
            except grpc.RpcError as error:
                codes[error.code().name] += 1
        print(f"mutated gRPC messages: {dict(codes)}")

        body = json.dumps(
            {"signature_name": "serving_default", "instances": [{"b64": "/9j/4AAQ"}, {"b64": ""}]}
        ).encode()
        statuses: collections.Counter[int] = collections.Counter()
        end = time.time() + flags.seconds
        while time.time() < end:
            status, _, _ = server.http("POST", "/v1/models/images:predict", mutate(body, rng))
            statuses[status] += 1
        print(f"mutated REST bodies: {dict(statuses)}")

        address = ("127.0.0.1", server.ports["rest"])
        held = []
        for i in range(1000):
            sock = socket.create_connection(address, timeout=20)
            sock.sendall(
                (
                    b"",
                    b"GET /v1/mod",
                    b"POST /v1/models/images:predict HTTP/1.1\r\nContent-Length: 99\r\n\r\n{",
                )[i % 3]
            )
            held.append(sock)
        held += [
            socket.create_connection(("127.0.0.1", server.ports["grpc"]), timeout=20) for _ in range(200)
        ]
        again = list(server.predict("images", {"image_bytes": jpegs[:1]}).outputs["probability"].float_val)
        print(
            f"with 1,200 half-open connections: probability {again}, /readyz {server.http('GET', '/readyz')[0]}"
        )
        closed = sum(sock.recv(1) == b"" for sock in held[:1000])
        print(f"slow HTTP connections that the server closed: {closed} of 1000")
        for sock in held:
            sock.close()
        after = list(server.predict("images", {"image_bytes": jpegs[:1]}).outputs["probability"].float_val)
        print(f"after: {process.memory_info().rss / 1e6:.0f} MB, probability {after}")
        if not expected == again == after:
            raise SystemExit("the server no longer answers right")
        print(f"exit code {server.stop()}")


if __name__ == "__main__":
    main()

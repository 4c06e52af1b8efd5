"""The device's own figures: `python -m benchmarks.edge_figures`, on one core with `taskset -c 0`.

Shutter to result on loopback against a model server that answers at once, so that what is left is the device's
own share; then a device process at rest: start to ready, memory, processor.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import httpx
import numpy as np
from PIL import Image

from benchmarks.edge_bench import bench
from benchmarks.edge_doubles import ModelServer, answer
from edge.config import QualitySection
from edge.examination import new_id
from edge.photograph import prepare
from edge.quality import check
from edge.sample import draw

ROOT = Path(__file__).resolve().parents[1]
TICKS = os.sysconf("SC_CLK_TCK")


def twelve_megapixels(noise: float) -> bytes:
    """A drawn lesion at 4056x3040 with sensor noise of so many grey levels, JPEG quality 93."""
    small = Image.open(io.BytesIO(draw(1352, 1013, seed=3)))
    large = np.asarray(small.resize((4056, 3040), Image.Resampling.BICUBIC)).astype(np.float32)
    large += np.random.default_rng(0).normal(0, noise, (*large.shape[:2], 1)).astype(np.float32)
    target = io.BytesIO()
    Image.fromarray(large.clip(0, 255).astype(np.uint8)).save(target, "JPEG", quality=93)
    return target.getvalue()


def p(values: list[float], share: float) -> float:
    """A percentile in milliseconds."""
    return float(np.percentile(values, share * 100)) * 1e3


def shutter_to_result(capture: bytes, count: int) -> tuple[list[float], list[float], list[float]]:
    """Seconds from the press to the answer's page; seconds of them in decode, scale, encode; in the checks."""
    whole, preparing, checking = [], [], []
    server = ModelServer(lambda _jpeg, _context: answer(0.2))
    with tempfile.TemporaryDirectory() as place:
        camera, state = Path(place) / "camera", Path(place) / "state"
        camera.mkdir()
        state.mkdir()
        (camera / "a.jpg").write_bytes(capture)
        with bench(state, camera, server.address) as made, httpx.Client(base_url=made.url) as client:
            for _ in range(count + 3):
                start = time.perf_counter()
                reply = client.post(
                    "/examinations",
                    data={"press": new_id(), "code": ""},
                    headers={"Accept": "application/json"},
                )
                whole.append(time.perf_counter() - start)
                assert reply.json()["state"] == "answered", reply.text
        for _ in range(count):
            start = time.perf_counter()
            photograph = prepare(capture, 1000, 92)
            preparing.append(time.perf_counter() - start)
            start = time.perf_counter()
            check(photograph.pixels, QualitySection())
            checking.append(time.perf_counter() - start)
    server.close()
    return whole[3:], preparing, checking


def at_rest(seconds: float, viewer: bool) -> tuple[float, float, float]:
    """Seconds from start to ready, resident megabytes, and percent of one core, with or without a viewer."""
    server = ModelServer(lambda _jpeg, _context: answer(0.2))
    with tempfile.TemporaryDirectory() as place:
        camera = Path(place) / "camera"
        camera.mkdir()
        (camera / "a.jpg").write_bytes(twelve_megapixels(2))
        command = [
            sys.executable,
            "-m",
            "edge",
            "run",
            "--state",
            f"{place}/state",
            "--server",
            server.address,
        ]
        command += ["--camera", f"folder:{camera}", "--port", "0"]
        begin = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        url = next(line for line in process.stderr if "ready: open" in line).split("open ")[1].strip()
        ready = time.perf_counter() - begin
        streams = [urllib.request.urlopen(url + path) for path in ("/preview.mjpg", "/events") if viewer]  # noqa: S310
        time.sleep(2)
        before, start = _cpu(process.pid), time.perf_counter()
        time.sleep(seconds)
        load = (_cpu(process.pid) - before) / (time.perf_counter() - start)
        memory = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        for stream in streams:
            stream.close()
        process.terminate()
        process.wait(timeout=30)
    server.close()
    return ready, memory / 1e6, load * 100


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def main() -> int:
    """Prints two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=20)
    options = parser.parse_args()
    print("| 12-megapixel capture | shutter to result p50 | p95 | decode, scale, encode p50 | checks p50 |")
    print("|---|---|---|---|---|")
    for name, noise in (("good light (noise 2)", 2.0), ("poor light (noise 6)", 6.0)):
        capture = twelve_megapixels(noise)
        whole, preparing, checking = shutter_to_result(capture, options.count)
        print(
            f"| {name}, {len(capture) / 1e6:.1f} MB | {p(whole, 0.5):.1f} ms | {p(whole, 0.95):.1f} ms "
            f"| {statistics.median(preparing) * 1e3:.1f} ms | {statistics.median(checking) * 1e3:.1f} ms |"
        )
    print("\n| at rest | start to ready | resident | of one core |")
    print("|---|---|---|---|")
    for name, viewer in (("nobody looks", False), ("preview and news open", True)):
        ready, memory, load = at_rest(options.seconds, viewer)
        print(f"| {name} | {ready:.1f} s | {memory:.0f} MB | {load:.1f} % |")
    return 0


if __name__ == "__main__":
    sys.exit(main())

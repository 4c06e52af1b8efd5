"""The device's own figures: `python -m benchmarks.edge_figures`, on one core with `taskset -c 0`.

Shutter to result on loopback against a model server that answers at once, so that what is left is the device's
own share; on a shared machine the processor time is the figure to trust. Then a device process at rest: start to
ready, memory, processor.
"""

from __future__ import annotations

import contextlib
import io
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import numpy as np
import psutil
from PIL import Image

from benchmarks.measuring import ROOT, command_line, cpu_seconds, markdown, row, rss
from edge.camera.photograph import prepare
from edge.camera.quality import check
from edge.camera.sample import draw
from edge.config import PhotographSection, QualitySection
from edge.queue.examination import new_id
from tests.support.edge_doubles import ModelServer, answer


def twelve_megapixels(noise: float) -> bytes:
    """A drawn lesion at 4056x3040 with sensor noise of so many grey levels, JPEG quality 93."""
    small = Image.open(io.BytesIO(draw(1352, 1013, seed=3)))
    large = np.asarray(small.resize((4056, 3040), Image.Resampling.BICUBIC)).astype(np.float32)
    large += np.random.default_rng(0).normal(0, noise, (*large.shape[:2], 1)).astype(np.float32)
    target = io.BytesIO()
    Image.fromarray(large.clip(0, 255).astype(np.uint8)).save(target, "JPEG", quality=93)
    return target.getvalue()


@contextmanager
def running(folder: Path, capture: bytes) -> Iterator[tuple[str, psutil.Process, float]]:
    """A device process before a server that answers at once: its page, the process, seconds to ready."""
    server = ModelServer(lambda _jpeg, _context: answer(0.2))
    camera = folder / "camera"
    camera.mkdir()
    (camera / "a.jpg").write_bytes(capture)
    command = [sys.executable, "-m", "edge", "run", "--state", str(folder / "state"), "--port", "0"]
    command += ["--camera", f"folder:{camera}", "--server", server.address]
    begin = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        url = next(line for line in process.stderr if "ready: open" in line).split("open ")[1].strip()
        with urllib.request.urlopen(url + "/healthz") as reply:  # noqa: S310
            assert reply.status == 200
        yield url, psutil.Process(process.pid), time.perf_counter() - begin
    finally:
        process.terminate()
        process.wait(timeout=30)
        server.close()


def shutter_to_result(capture: bytes, count: int) -> tuple[list[float], float, float, float]:
    """Presses `count` times after three to warm up.

    Returns:
        Seconds by the clock from each press to its answer, processor seconds of one, and of two parts of it: of
        preparing the photograph and of the checks.
    """
    wall = []
    with tempfile.TemporaryDirectory() as place, running(Path(place), capture) as (url, device, _):
        with httpx.Client(base_url=url) as client:
            for number in range(count + 3):
                if number == 3:
                    before = cpu_seconds(device)
                start = time.perf_counter()
                reply = client.post(
                    "/examinations",
                    data={"press": new_id(), "code": ""},
                    headers={"Accept": "application/json"},
                )
                wall.append(time.perf_counter() - start)
                assert reply.json()["state"] == "answered", reply.text
        processor = (cpu_seconds(device) - before) / count
    preparing, checking = [], []
    for _ in range(count):
        start = time.thread_time()
        photograph = prepare(capture, PhotographSection())
        preparing.append(time.thread_time() - start)
        start = time.thread_time()
        check(photograph.pixels, QualitySection())
        checking.append(time.thread_time() - start)
    return wall[3:], processor, statistics.median(preparing), statistics.median(checking)


def at_rest(seconds: float, viewer: bool) -> tuple[float, float, float]:
    """Seconds from start to ready, resident megabytes, and percent of one core, with or without a viewer."""
    with (
        tempfile.TemporaryDirectory() as place,
        running(Path(place), twelve_megapixels(2)) as (url, device, ready),
        ExitStack() as stack,
    ):
        if viewer:
            stack.enter_context(urllib.request.urlopen(url + "/events"))  # noqa: S310
            threading.Thread(target=_watch, args=(url,), daemon=True).start()
        time.sleep(2)
        before, start = cpu_seconds(device), time.perf_counter()
        time.sleep(seconds)
        load = (cpu_seconds(device) - before) / (time.perf_counter() - start)
        return ready, rss(device) / 1e6, load * 100


def _watch(url: str) -> None:
    """Ask for one picture after the other, as the page does, until the device is gone."""
    seen = ""
    with httpx.Client(base_url=url) as client, contextlib.suppress(httpx.HTTPError):
        while True:
            seen = client.get("/preview.jpg", params={"seen": seen}).headers.get("X-Frame", seen)


def main() -> int:
    """Prints two tables."""
    parser = command_line(__doc__)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=20)
    options = parser.parse_args()
    processor = "processor, whole device", "of it decode, scale, encode", "of it checks"
    print(markdown(("12-megapixel capture", "shutter to result, wall p50", "p95", *processor), rule="---"))
    for name, noise in (("good light (noise 2)", 2.0), ("poor light (noise 6)", 6.0)):
        capture = twelve_megapixels(noise)
        seconds, whole, *parts = shutter_to_result(capture, options.count)
        wall = (f"{np.percentile(seconds, share) * 1e3:.0f} ms" for share in (50, 95))
        cost = f"{whole * 1e3:.0f} ms", *(f"{one * 1e3:.1f} ms" for one in parts)
        print(row((f"{name}, {len(capture) / 1e6:.1f} MB", *wall, *cost)))
    print("\n" + markdown(("at rest", "start to ready", "resident", "of one core"), rule="---"))
    for name, viewer in (("nobody looks", False), ("preview and news open", True)):
        ready, memory, load = at_rest(options.seconds, viewer)
        print(row((name, f"{ready:.1f} s", f"{memory:.0f} MB", f"{load:.1f} %")))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The model server against the bare graph, Flask + gunicorn and FastAPI: one command, one table.

    python benchmarks/serving.py                     # about six minutes; prints the table
    python benchmarks/serving.py --soak-minutes 10   # with the soak
    python benchmarks/serving.py --write             # puts the table into benchmarks/README.md
    python benchmarks/serving.py --only-throughput --old ../base   # 32 clients, with an older checkout's server too

All contestants run the same EfficientNet-Lite0 on the same JPEGs. Their windows are interleaved, round after round,
so that what else the machine does hits them alike; ratios are medians of the rounds' ratios. The load comes from
another process on the same cores. CPU time for each answer (server and client apart) is given as well, because a
shared machine cannot change it.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psutil

# As a script this folder comes first, and its serving.py would stand for the package of that name.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks import serving_bombs  # noqa: E402
from benchmarks.measuring import ROOT, command_line, image_folder, markdown, row, sampled  # noqa: E402
from benchmarks.serving_contestants import Contestants, window  # noqa: E402
from benchmarks.serving_load import MODEL, load  # noqa: E402

BEGIN, END = "<!-- serving: begin -->", "<!-- serving: end -->"
# Images a run and threads of the graph that is called without any server.
LIMITS = ((1, 1), (8, 1), (8, 2), (4, 2))
# Who is asked by 32 clients, and how many times as fast as a rival this server is wanted to be.
TITLES = {
    "ours": ("this server, gRPC", ""),
    "rest": ("this server, REST b64", ""),
    "flask": ("Flask + gunicorn (2 x 16 threads)", ">= 2x"),
    "fastapi": ("FastAPI (2 workers)", ""),
    "onnx": ("FastAPI + ONNX Runtime (2 workers)", ">= 1.5x"),
    "old": ("the older server on the unfolded export, gRPC", ">= 2.2x"),
}


def _median(runs: list[dict[str, Any]], key: str) -> float:
    return statistics.median(run[key] for run in runs)


class Bench:
    """One run of what the command line asks for."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.seconds, self.rounds = options.seconds, options.rounds
        self.work = Path(tempfile.mkdtemp(prefix="serving-bench-"))
        self.images = image_folder(self.work)
        self.field = Contestants(self.work, options.old, only_throughput=options.only_throughput)
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        """Print progress."""
        print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)

    def row(self, name: str, value: str, wanted: str, note: str = "") -> None:
        """Add a line to the table."""
        self.lines.append(row((name, value, wanted, note)))
        self.say(f"{name}: {value} (wanted {wanted}) {note}")

    def start(self) -> None:
        """Export the model and start all contestants."""
        self.say("exporting EfficientNet-Lite0")
        self.field.start()
        self.field.await_listening()

    def stop(self) -> None:
        """Stop what runs and remove what was made."""
        self.field.stop()
        shutil.rmtree(self.work, ignore_errors=True)

    def _limit(self, batch: int, threads: int) -> dict[str, Any]:
        result = load(
            "inprocess",
            str(self.field.base / "1"),
            self.images,
            batch=batch,
            clients=threads,
            seconds=self.seconds,
        )
        result["per_second"] *= batch
        result["client_cpu_ms"] /= batch
        return result

    def throughput(self) -> None:
        """32 clients on each server, the bare graph between them."""
        # Keras and TensorFlow trace on first calls, in each worker and thread: not what is measured.
        servers = {"ours": self.field.ours, **self.field.rivals}
        for server in servers.values():
            load(server.kind, server.target, self.images, clients=32, seconds=self.seconds)
        limits: dict[str, Callable[[], dict[str, Any]]] = {
            f"in process, batch {batch}, {threads} thread(s)": partial(self._limit, batch, threads)
            for batch, threads in LIMITS
        }
        press = {"clients": 32, "seconds": self.seconds}
        runs = limits | {
            name: partial(window, server, self.images, **press) for name, server in servers.items()
        }
        if not self.options.only_throughput:
            ours = self.field.ours.process.pid
            runs["rest"] = partial(load, "rest", self.field.rest_target, self.images, pid=ours, **press)
        seen: dict[str, list[dict[str, Any]]] = {name: [] for name in runs}
        for number in range(self.rounds):
            self.say(f"throughput, round {number + 1} of {self.rounds}")
            for name, run in runs.items():
                seen[name].append(run())
        for name in limits:
            self.row(name, f"{_median(seen[name], 'per_second'):.1f} images/s", "",
                     f"{_median(seen[name], 'client_cpu_ms'):.1f} ms CPU an image")  # fmt: skip
        for name, (title, _) in TITLES.items():
            if name in self.field.missing:
                self.row(f"{title}, 32 clients", "not measured", "", self.field.missing[name])
            elif name in seen:
                self._throughput_row(f"{title}, 32 clients", seen[name])
        best = [max(seen[name][i]["per_second"] for name in limits) for i in range(self.rounds)]
        ours_each = [run["per_second"] for run in seen["ours"]]

        def ratio(theirs: list[float]) -> float:
            return statistics.median(mine / other for mine, other in zip(ours_each, theirs, strict=True))

        self.row("throughput against the in-process limit (same cores)", f"{ratio(best):.2f}", ">= 0.9",
                 "median of the rounds' ratios; the best limit of each round")  # fmt: skip
        cheapest = min(_median(seen[name], "client_cpu_ms") for name in limits)
        cpu = _median(seen["ours"], "server_cpu_ms")
        self.row("the same in CPU: limit's ms an image / server's", f"{cheapest / cpu:.2f}", ">= 0.9",
                 "does not depend on what else runs")  # fmt: skip
        for name in self.field.rivals:
            title, wanted = TITLES[name]
            theirs = [run["per_second"] for run in seen[name]]
            self.row(f"throughput against {title}", f"{ratio(theirs):.2f}x", wanted)
        self.best_rate = statistics.median(ours_each)

    def _throughput_row(self, title: str, runs: list[dict[str, Any]]) -> None:
        self.row(
            title, f"{_median(runs, 'per_second'):.1f} images/s, p50 {_median(runs, 'p50'):.0f} ms", "",
            f"{_median(runs, 'server_cpu_ms'):.1f} + {_median(runs, 'client_cpu_ms'):.1f} ms CPU an image (server + "
            f"client), {sum(run['errors'] for run in runs)} errors; others used {_median(runs, 'others_cores'):.1f} cores",
        )  # fmt: skip

    def latency(self) -> None:
        """p50 added at one client, p99 at eight."""
        assert self.field.light is not None  # started unless throughput alone is wanted
        added, over, eights = [], [], []
        for number in range(self.rounds):
            self.say(f"latency, round {number + 1} of {self.rounds}")
            direct = self._limit(1, 1)
            one = window(self.field.ours, self.images, clients=1, seconds=self.seconds)
            over.append(one["p50"] - direct["p50"])
            bare = load(
                "inprocess", str(self.field.models / "light" / "1"), self.images, seconds=self.seconds / 2
            )
            light = window(self.field.light, self.images, clients=1, seconds=self.seconds / 2)
            added.append(light["p50"] - bare["p50"])
            batch = self._limit(8, 1)
            eight = window(self.field.ours, self.images, clients=8, seconds=self.seconds)
            eights.append((eight["p99"], batch["p50"]))
        rounds = ", ".join(f"{one:.2f}" for one in added)
        self.row("p50 added by the server, 1 client", f"{statistics.median(added):.2f} ms", "<= 3 ms",
                 f"the same JPEGs to a graph that only measures their length; rounds: {rounds}")  # fmt: skip
        self.row("the same over EfficientNet-Lite0", f"{statistics.median(over):.1f} ms", "",
                 "the difference of two numbers near 30 that change with the machine; rounds: "
                 + ", ".join(f"{one:.1f}" for one in over))  # fmt: skip
        self.row("p99 at 8 clients / time of a batch of 8", f"{statistics.median(a / b for a, b in eights):.2f}",
                 "<= 2", ", ".join(f"{a:.0f}/{b:.0f} ms" for a, b in eights))  # fmt: skip

    def small(self) -> None:
        """What the server itself adds, takes and withstands: a graph that costs nothing, and bombs."""
        for cells in serving_bombs.measure(self.work, self.rounds, self.say, self.options.network):
            self.row(*cells)

    def swap(self) -> None:
        """A new version under load."""
        seconds = max(16.0, self.seconds * 2)
        result: dict[str, Any] = {}
        thread = threading.Thread(
            target=lambda: result.update(window(self.field.ours, self.images, clients=8, seconds=seconds))
        )
        thread.start()
        while not self._serving_load():
            time.sleep(0.1)
        time.sleep(seconds / 3)
        began = time.time()
        self._push(2)
        while self._states() != {1: "END", 2: "AVAILABLE"}:
            time.sleep(0.02)
        ended = time.time()
        thread.join()
        rows = result["rows"]
        quiet = sorted(latency * 1000 for start, latency in rows if start + latency < began)
        during = sorted(
            latency * 1000 for start, latency in rows if start + latency >= began and start <= ended
        )
        p99 = [data[min(len(data) - 1, int(0.99 * len(data)))] if data else 0.0 for data in (quiet, during)]
        self.row("version swap under load: failed requests", str(result["errors"]), "0",
                 f"{result['requests']} requests, 8 clients, swap took {ended - began:.1f} s")  # fmt: skip
        self.row("p99 during the swap / before", f"{p99[1] / max(p99[0], 1e-9):.2f}", "<= 2",
                 f"{p99[1]:.0f} ms of {len(during)} / {p99[0]:.0f} ms of {len(quiet)}")  # fmt: skip

    def _push(self, version: int) -> None:
        """Put a version of the model beside the others, whole at once."""
        partial_folder = self.work / "partial"
        shutil.copytree(self.field.spare, partial_folder)
        partial_folder.rename(self.field.base / str(version))

    def _states(self) -> dict[int, str]:
        from core.tfserving.client import Client

        with Client(self.field.ours.target) as client:
            return {one.version: one.state for one in client.status(MODEL)}

    def _serving_load(self) -> bool:
        url = f"http://{self.field.rest_target}/monitoring/prometheus/metrics"
        with urllib.request.urlopen(url) as page:
            text = page.read().decode()
        return int(text.partition("\nmelanosizer_serving_inflight_requests{} ")[2].split()[0]) >= 4

    def swaps(self, count: int = 20) -> None:
        """Memory after many swaps."""
        levels = []
        for version in range(3, 3 + count):
            self._push(version)
            states = self._states()
            while states.pop(version, None) != "AVAILABLE" or {"AVAILABLE", "UNLOADING"} & {*states.values()}:
                time.sleep(0.05)
                states = self._states()
            load("grpc", self.field.ours.target, self.images, clients=2, seconds=0.5)
            levels.append(self.field.ours.rss())
        self.row(f"memory after {count} swaps", f"{levels[-1]:.0f} MB", "returns to its level",
                 f"after the 2nd {levels[1]:.0f}, 5th {levels[4]:.0f}, 10th {levels[min(9, count - 1)]:.0f} MB")  # fmt: skip

    def soak(self, minutes: float) -> None:
        """80 % load for minutes: memory and errors."""
        rate = 0.8 * self.best_rate
        with sampled(self.field.ours.rss, 5) as levels:
            result = window(self.field.ours, self.images, clients=32, seconds=minutes * 60, rate=rate)
        fifth = max(1, len(levels) // 5)
        first, last = (
            statistics.median(part) for part in (levels[fifth : 2 * fifth] or levels, levels[-fifth:])
        )
        self.row(f"{minutes:g} minutes at 80 % load ({rate:.0f}/s): errors", str(result["errors"]), "0",
                 f"{result['requests']} requests, p50 {result['p50']:.0f} ms, p99 {result['p99']:.0f} ms")  # fmt: skip
        self.row("memory in the second fifth and in the last", f"{first:.0f} -> {last:.0f} MB", "no growth")

    def table(self) -> str:
        """The table as Markdown."""
        cpu = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                    if line.startswith("model name")), platform.processor())  # fmt: skip
        head = (
            f"{time.strftime('%Y-%m-%d')}, {psutil.cpu_count()} cores ({cpu}), load average "
            f"{', '.join(f'{one:.1f}' for one in os.getloadavg())} at the end; windows of {self.seconds:g} s, "
            f"{self.rounds} rounds; the client's process shares the cores."
        )
        return "\n".join([head, "", markdown(("", "measured", "wanted", ""), rule="---"), *self.lines])


def write(table: str) -> None:
    """Put the table between this benchmark's markers in benchmarks/README.md."""
    path = ROOT / "benchmarks" / "README.md"
    head, _, rest = path.read_text().partition(BEGIN)
    path.write_text(f"{head}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}")


def main() -> None:
    """Run the sections asked for."""
    parser = command_line(__doc__)
    parser.add_argument("--seconds", type=float, default=8, help="length of a window")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--soak-minutes", type=float, default=0)
    parser.add_argument(
        "--old", type=lambda text: Path(text).resolve(), help="checkout of an older version, whose server takes part"
    )  # fmt: skip
    parser.add_argument("--only-throughput", action="store_true", help="only 32 clients: about five minutes")
    parser.add_argument("--only-small", action="store_true", help="only what needs no model: about a minute")
    parser.add_argument(
        "--network", type=Path, help="what serving_model.py wrote: other callers ask it as well"
    )
    parser.add_argument("--write", action="store_true", help="write the table into benchmarks/README.md")
    options = parser.parse_args()
    bench = Bench(options)
    try:
        if not options.only_throughput:
            bench.small()
        if not options.only_small:
            bench.start()
            bench.throughput()
        is_whole = not (options.only_small or options.only_throughput)
        if is_whole:
            bench.latency()
            bench.swap()
            bench.swaps()
            if options.soak_minutes:
                bench.soak(options.soak_minutes)
    finally:
        bench.stop()
    print(bench.table())
    if options.write and is_whole:
        write(bench.table())


if __name__ == "__main__":
    main()

"""What the benchmarks have in common: a command line, a Markdown table, pictures, ports, and processes to watch."""

from __future__ import annotations

import argparse
import os
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
REAL_DATA = Path(os.environ.get("MELANOSIZER_REAL_DATA", ROOT.parent / "shared" / "data"))


def command_line(text: str | None) -> argparse.ArgumentParser:
    """A command line whose help is a module's docstring as it stands there."""
    return argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)


def row(cells: Iterable[object]) -> str:
    """One row of a Markdown table."""
    return f"| {' | '.join(map(str, cells))} |"


def markdown(head: Iterable[object], rows: Iterable[Iterable[object]] = (), rule: str = "---:") -> str:
    """A Markdown table; `rule` aligns all columns but the first."""
    names = list(head)
    return "\n".join([row(names), "|---|" + f"{rule}|" * (len(names) - 1), *map(row, rows)])


def free_ports(count: int) -> list[int]:
    """So many ports that nobody listens on: all are held at once before they are let go."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in sockets]


def tree_sum(pid: int, read: Callable[[psutil.Process], float]) -> float:
    """The sum of a figure over a process and all below it; one that ends meanwhile counts nothing."""
    total = 0.0
    root = psutil.Process(pid)
    for one in (root, *root.children(recursive=True)):
        try:
            total += read(one)
        except psutil.Error:
            continue
    return total


def rss(process: psutil.Process) -> float:
    """Resident bytes of one process."""
    return float(process.memory_info().rss)


def cpu_seconds(process: psutil.Process) -> float:
    """Processor seconds of one process so far."""
    return float(sum(process.cpu_times()[:2]))


@contextmanager
def sampled(read: Callable[[], float], every_s: float) -> Iterator[list[float]]:
    """What a figure was every so many seconds while a block ran, read by a thread of its own."""
    values: list[float] = []
    done = threading.Event()

    def sample() -> None:
        while not done.wait(every_s):
            values.append(read())

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield values
    finally:
        done.set()
        thread.join()


def image_folder(work: Path) -> Path:
    """A folder with JPEGs of 224 pixels: real ones, or noise that is made in `work`."""
    real = REAL_DATA / "ham10000"
    if real.is_dir():
        return real
    import numpy as np
    from PIL import Image

    made = work / "images"
    made.mkdir(exist_ok=True)
    for i in range(64):
        pixels = np.random.default_rng(i).integers(0, 255, (28, 28, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((224, 224)).save(made / f"{i}.jpg", quality=90)
    return made


def jpegs(folder: Path) -> list[bytes]:
    """Up to 64 JPEGs below a folder."""
    found = sorted(folder.rglob("*.jpg"))[:64]
    if not found:
        raise SystemExit(f"no .jpg in {folder}")
    return [path.read_bytes() for path in found]

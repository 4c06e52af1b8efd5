"""How fast the dashboard answers on 200 runs, 100,000 predictions and 500 devices, and under load.

    python -m benchmarks.dashboard_bench pages [--database URL]
    python -m benchmarks.dashboard_bench load --workspace WORKSPACE [--seconds 20]

`pages` makes the data in a temporary folder and asks for every page, one after the other; the time is the
server's own (Server-Timing). `load` starts the dashboard on a workspace with a released model, beside a model
server that runs already (`melanosizer serve`), and lets 50 people browse while 100 images a second are sent.
"""

from __future__ import annotations

import asyncio
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from benchmarks.measuring import markdown, row
from core.workspace import Workspace
from dashboard import sample
from dashboard.access import cookie
from dashboard.readers.registry import RegistryFiles
from dashboard.readers.runs import RunFiles
from dashboard.services import Services
from dashboard.settings import Settings

BIG = sample.Size(runs=200, images=600, predictions=100_000, devices=500)
ROUNDS = 15
USERS = 50
RATE = 100
app = typer.Typer(add_completion=False)


@contextmanager
def served(workspace: Path, *options: str) -> Iterator[str]:
    """The dashboard in a process of its own."""
    command = [sys.executable, "-m", "dashboard", "--workspace", str(workspace), "--port", "0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    found = re.search(r"http://\S+", process.stdout.readline())
    assert found is not None, "the dashboard did not start"
    try:
        yield found[0]
    finally:
        process.terminate()
        process.wait(timeout=60)


def cookies(services: Any, names: int) -> list[str]:
    """Session cookies of so many people, as name=value."""
    made = []
    for i in range(names):
        name = f"dr.reyes{i or ''}"
        user = services.accounts.named(name) or services.accounts.make(name, "approver", "benchmark")
        made.append(f"{cookie(services)}={services.sessions.begin(user.id)}")
    return made


def paths(workspace: Path) -> list[str]:
    """Every page worth asking for."""
    here = Workspace(workspace)
    runs = [run for run in RunFiles(here).all() if run.auc is not None]
    version = RegistryFiles(here, "melanoma").all()[0]
    return [
        "/runs",
        f"/runs/{runs[0].run_id}",
        f"/runs/compare?run={runs[0].run_id}&run={runs[min(1, len(runs) - 1)].run_id}",
        "/models",
        f"/models/{version.version}",
        f"/models/{version.version}/evaluation",
        f"/models/{version.version}/evaluation?threshold=0.4",
        "/lineage",
        "/lineage?image=SAMPLE_0_train_00003",
        "/data",
        f"/data/{version.data_version}",
        "/serving",
        "/field",
        "/field?last=365d",
        "/field/predictions",
        "/field/predictions?zone=refer&outcome=melanoma",
        "/field/review",
        "/devices",
        "/devices?page=5",
        "/alerts",
        "/audit",
    ]


@app.command()
def pages(
    database: Annotated[str, typer.Option(help="PostgreSQL URL of an empty database; SQLite without.")] = "",
) -> None:
    """Time every page on the big example."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "workspace"
        begun = time.perf_counter()
        sample.workspace(root, BIG)
        settings = Settings(workspace=root, database_url=database, model_server="127.0.0.1:1")
        services = Services(settings)
        sample.field(services.database, services.recorder, services.registry.names()[::-1], BIG)
        for run in {run.data_version: run for run in services.runs.all()}.values():
            services.data_index.index(run.data_version, Path(run.data))
        token = cookies(services, 1)[0]
        services.database.close()
        print(
            f"made in {time.perf_counter() - begun:.0f} s; {ROUNDS} times each, HTML, milliseconds at the server\n"
        )
        config = root / "bench.yaml"
        config.write_text(
            "rate_limit_per_minute: 100000\n" + (f"database_url: {database}\n" if database else "")
        )
        with served(root, "--config", str(config)) as base, httpx.Client(base_url=base, timeout=60) as client:
            client.headers.update({"Cookie": token, "Accept": "text/html"})
            print(markdown(("page", "first", "median", "slowest", "kB")))
            for path in paths(root):
                times, size = [], 0
                for _ in range(ROUNDS):
                    answer = client.get(path)
                    answer.raise_for_status()
                    times.append(float(answer.headers["server-timing"].rpartition("=")[2]))
                    size = len(answer.content)
                shown = re.sub(r"\d{8}-\d{6}|\d{9,}|[0-9a-f]{64}", "…", path)
                figures = times[0], statistics.median(times), max(times[1:]), size / 1000
                print(row((shown, *(f"{one:.0f}" for one in figures))), flush=True)


@app.command()
def load(
    workspace: Annotated[Path, typer.Option(help="A workspace with a released model.")],
    server: Annotated[str, typer.Option(help="The model server's gRPC address.")] = "127.0.0.1:8500",
    seconds: float = 20.0,
    rate: int = RATE,
    users: int = USERS,
) -> None:
    """50 people browse while 100 images a second go through the gateway."""
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        config = state / "bench.yaml"
        config.write_text(
            f"state_dir: {state}\nmodel_server: {server}\nrate_limit_per_minute: 1000000\n"
            "device_rate_limit_per_minute: 1000000\n"
        )
        services = Services(Settings(workspace=workspace, state_dir=state))
        sessions = cookies(services, users)
        with services.database.write() as session:
            token = services.tokens.issue(
                session, name="load", scopes=("predict",), device_id="pi-load", by="benchmark"
            )
        services.database.close()
        with served(workspace, "--config", str(config)) as base:
            asyncio.run(_press(base, workspace, sessions, token, seconds, rate))


async def _press(
    base: str, workspace: Path, sessions: list[str], token: str, seconds: float, rate: int
) -> None:
    images = [sample.picture(i, side=450) for i in range(32)]
    wanted = [path for path in paths(workspace) if "SAMPLE" not in path]
    browsed: list[float] = []
    predicted: list[float] = []
    faults: list[str] = []
    limits = httpx.Limits(max_connections=400, max_keepalive_connections=200)
    async with httpx.AsyncClient(base_url=base, timeout=30, limits=limits) as client:
        end = time.perf_counter() + seconds

        async def person(number: int) -> None:
            headers = {"Cookie": sessions[number], "Accept": "text/html"}
            i = number
            while time.perf_counter() < end:
                begun = time.perf_counter()
                answer = await client.get(wanted[i % len(wanted)], headers=headers)
                browsed.append(time.perf_counter() - begun)
                if answer.status_code != 200:
                    faults.append(f"{wanted[i % len(wanted)]}: {answer.status_code}")
                i += 1
                await asyncio.sleep(5)  # somebody reads what is shown

        async def ask(number: int) -> None:
            begun = time.perf_counter()
            files = {"image": ("a.jpg", images[number % len(images)], "image/jpeg")}
            answer = await client.post(
                "/api/v1/predict", files=files, headers={"Authorization": f"Bearer {token}"}
            )
            predicted.append(time.perf_counter() - begun)
            if answer.status_code != 200:
                faults.append(f"predict: {answer.status_code} {answer.text[:100]}")

        people = [asyncio.create_task(person(i)) for i in range(len(sessions))]
        begun = time.perf_counter()
        asks = []
        for number in range(int(seconds * rate)):
            await asyncio.sleep(max(0.0, begun + number / rate - time.perf_counter()))
            asks.append(asyncio.create_task(ask(number)))
        await asyncio.gather(*asks, *people)
        spent = time.perf_counter() - begun
    print(markdown(("", "requests", "a second", "median ms", "95 % ms", "99 % ms")))
    for name, times in (("pages", browsed), ("predictions", predicted)):
        cuts = statistics.quantiles(times, n=100)
        slow = (f"{cuts[percent - 1] * 1000:.0f}" for percent in (50, 95, 99))
        print(row((name, len(times), f"{len(times) / spent:.1f}", *slow)))
    print(f"\nfailed: {len(faults)} {sorted(set(faults))[:5]}")


if __name__ == "__main__":
    app()

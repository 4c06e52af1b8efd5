"""An example workspace, both databases, a double of the model server, and a signed-in client."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from argon2 import PasswordHasher

from dashboard import sample, scrape
from dashboard.alerts import delivery
from dashboard.database import connection
from dashboard.database.tables import Base
from dashboard.gateway import client
from dashboard.security import oidc, passwords
from dashboard.services import Services
from dashboard.settings import Settings
from tests.dashboard.rig import (
    ARGUMENTS,
    CHROMIUM,
    PATIENCE_MS,
    POSTGRES,
    SMALL,
    Cluster,
    Double,
    Inbox,
    Person,
    Running,
    fill,
)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example workspace every test copies, with a filled SQLite database in it."""
    root = tmp_path_factory.mktemp("example") / "workspace"
    sample.workspace(root, SMALL)
    services = Services(Settings(workspace=root, model_server="127.0.0.1:1"))
    fill(services)
    services.database.close()
    return root


@pytest.fixture(autouse=True)
def quick_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords hashed in a millisecond; one test looks at the real parameters."""
    quick = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    monkeypatch.setattr(passwords, "_HASHER", quick)
    monkeypatch.setattr(passwords, "_NOBODY", quick.hash("nobody"))


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a page waits for its neighbours, made so long that a busy machine does not end it."""
    for module, name in (
        (connection, "REPLY_S"), (connection, "CONNECT_S"), (connection, "LOCK_S"), (client, "STATUS_TIMEOUT_S"),
        (scrape, "PATIENCE_S"), (delivery, "PATIENCE_S"), (oidc, "TIMEOUT_S"),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, 120)


@pytest.fixture
def workspace(template: Path, tmp_path: Path) -> Path:
    """A workspace of the test's own. The files name the old place; the dashboard finds the new one."""
    root = tmp_path / "workspace"
    shutil.copytree(template, root)
    config = root / "serving" / "models.config"
    config.write_text(config.read_text().replace(str(template), str(root)))
    return root


@pytest.fixture(scope="session")
def postgres(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A real PostgreSQL; skips where its programs are absent."""
    if not POSTGRES:
        pytest.skip("no PostgreSQL here: apt-get install postgresql")
    if os.geteuid() == 0 and shutil.which("runuser") is None:
        pytest.skip("PostgreSQL does not start as root, and there is no runuser")
    # Not below pytest's folder: another pytest closes that to all but its user.
    folder = Path(tempfile.mkdtemp(prefix="dash-postgres-"))
    cluster = Cluster(folder)
    try:
        cluster.start()
        state = tmp_path_factory.mktemp("state")
        services = Services(Settings(workspace=template, state_dir=state, database_url=cluster.url()))
        fill(services)
        services.database.close()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'dash.sqlite'}"
    cluster: Cluster = request.getfixturevalue("postgres")
    return cluster.url()


@pytest.fixture
def double(workspace: Path) -> Iterator[Double]:
    """A model server on a free port."""
    made = Double(workspace / "serving" / "models.config")
    yield made
    made.server.stop(None).wait()


Build = Callable[..., Running]


@pytest.fixture
def build(workspace: Path, request: pytest.FixtureRequest) -> Iterator[Build]:
    """Start an application with any settings; its threads end with the test."""
    stack = contextlib.ExitStack()

    def start(**settings: Any) -> Running:
        if "double" in request.fixturenames:
            settings.setdefault("model_server", f"127.0.0.1:{request.getfixturevalue('double').port}")
        else:
            settings.setdefault("model_server", "127.0.0.1:1")
        # Rules are evaluated when a test asks, not beside it.
        settings = {
            "alert_seconds": 3600, "watch_seconds": 0.2, "model_server_metrics_url": None, "predict_timeout_s": 120,
        } | settings  # fmt: skip
        running = Running(Settings(workspace=workspace, **settings))
        stack.enter_context(running.client)
        return running

    yield start
    stack.close()


@pytest.fixture
def dash(build: Build) -> Running:
    """An application on SQLite with its field filled."""
    return build()


@pytest.fixture(params=["sqlite", "postgresql"])
def filled(request: pytest.FixtureRequest, build: Build) -> Running:
    """The same on either database."""
    if request.param == "sqlite":
        return build()
    cluster: Cluster = request.getfixturevalue("postgres")
    return build(database_url=cluster.copy())


@pytest.fixture
def picture() -> bytes:
    """A JPEG of a lesion."""
    return sample.picture(3)


@pytest.fixture
def serve() -> Iterator[Callable[[Running], str]]:
    """Serve an application on a free port, for a real browser; its address."""
    servers: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(running: Running) -> str:
        config = uvicorn.Config(
            running.app,
            port=0,
            log_config=None,
            log_level="error",
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"

    yield start
    for server, thread in servers:
        server.should_exit = True
        thread.join(timeout=10)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A real browser; skips where there is none."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS, timeout=PATIENCE_MS)
        playwright.expect.set_options(timeout=PATIENCE_MS)
        yield found
        found.close()


@pytest.fixture
def desk(browser: Any, serve: Any) -> Iterator[Any]:
    """Seat people before an application."""
    seated: list[Person] = []

    def seat(running: Any, name: str = "jo", role: str = "approver", **context: Any) -> Person:
        base = addresses.setdefault(id(running), "") or serve(running)
        addresses[id(running)] = base
        person = Person(browser, base, **({"viewport": {"width": 1440, "height": 900}} | context))
        seated.append(person)
        return person.sign_in(running, name, role)

    addresses: dict[int, str] = {}
    yield seat
    for person in seated:
        person.context.close()
        assert person.complaints == []


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    """A web server that remembers."""
    made = Inbox()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def tables() -> list[str]:
    """Names of all tables."""
    return sorted(Base.metadata.tables)

"""What the dashboard's tests are built on: doubles of its neighbours, and browsers of several people."""

from __future__ import annotations

import contextlib
import fcntl
import http.server
import json
import os
import re
import shutil
import signal
import subprocess
import threading
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
from fastapi.testclient import TestClient
from google.protobuf import text_format

from core.files import write_atomic
from core.protos import model_server_config_pb2, tensor_pb2
from core.protos import prediction_service_pb2 as serving
from core.protos.prediction_service_pb2_grpc import (
    ModelServiceServicer,
    PredictionServiceServicer,
    add_ModelServiceServicer_to_server,
    add_PredictionServiceServicer_to_server,
)
from core.workspace import MARKER, Workspace
from dashboard import clock, sample
from dashboard.app import create
from dashboard.sample.store import RUNNING, Store
from dashboard.services import Services
from dashboard.settings import Settings

SMALL = sample.Size(runs=6, images=90, predictions=300, devices=8)
PASSWORD = "seven hills beyond the lake"
VENDORED = Path(__file__).parent / "vendored"
CHROMIUM = Path(os.environ.get("MELANOSIZER_CHROMIUM", "/usr/bin/chromium"))
ARGUMENTS = [
    "--no-sandbox", "--headless", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
PATIENCE_MS = 120_000
POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))


class Cluster:
    """A PostgreSQL of our own, as an unprivileged user, in a folder that goes away."""

    def __init__(self, folder: Path) -> None:
        self._bin = POSTGRES[-1].parent
        self._data = folder / "data"
        self._folder = folder
        self._as = ["runuser", "-u", "nobody", "--"] if os.geteuid() == 0 else []
        self._count = 0

    def start(self) -> None:
        """Make it and start it."""
        folder = self._folder
        if self._as:
            shutil.chown(folder, "nobody")
        self._run("initdb", "-D", str(self._data), "-A", "trust", "-U", "dash", "--no-sync")
        options = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off -c shared_buffers=64MB"
        self._run("pg_ctl", "-D", str(self._data), "-w", "-o", options, "-l", str(folder / "log"), "start")

    def url(self) -> str:
        """A new, empty database."""
        self._count += 1
        name = f"dash{self._count}"
        self._run("createdb", "-h", str(self._folder), "-U", "dash", name)
        return f"postgresql+psycopg://dash@/{name}?host={self._folder}"

    def copy(self) -> str:
        """A new database like the first one."""
        self._count += 1
        self._run("createdb", "-h", str(self._folder), "-U", "dash", "-T", "dash1", f"dash{self._count}")
        return f"postgresql+psycopg://dash@/dash{self._count}?host={self._folder}"

    def stop(self) -> None:
        """End it at once, if it was started; nothing in it is needed any more."""
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            pid = (self._data / "postmaster.pid").read_text().split()[0]
            os.kill(int(pid), signal.SIGQUIT)  # immediate shutdown: there is nothing to keep

    def signal(self, number: int) -> None:
        """Send a signal to the server and to every process of it."""
        pid = int((self._data / "postmaster.pid").read_text().split()[0])
        os.kill(pid, number)  # first: one that is stopped makes no more of them
        for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            with contextlib.suppress(ProcessLookupError):  # some end by themselves
                os.kill(int(one), number)

    def restart(self) -> None:
        """Stop it, and start it again."""
        self._run(
            "pg_ctl", "-D", str(self._data), "-w", "-m", "fast", "restart", "-l", str(self._folder / "log")
        )

    def _run(self, tool: str, *arguments: str) -> None:
        subprocess.run(
            [*self._as, str(self._bin / tool), *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=self._folder,
        )


class Double(PredictionServiceServicer, ModelServiceServicer):
    """Answers as a model server does, serving what models.config names; one version may be made worse."""

    def __init__(self, config: Path) -> None:
        self.config = config
        self.blind: set[str] = set()  # versions that call everything harmless
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.trouble: grpc.StatusCode | None = None
        self.garbage = False
        self.server = grpc.server(futures.ThreadPoolExecutor(4))
        add_PredictionServiceServicer_to_server(self, self.server)
        add_ModelServiceServicer_to_server(self, self.server)
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def version(self) -> int:
        return int(self._model().version_labels["stable"])

    def _model(self) -> Any:
        read = text_format.Parse(self.config.read_text(), model_server_config_pb2.ModelServerConfig())
        return read.model_config_list.config[0]

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 - gRPC names it
        if self.trouble is not None:
            context.abort(self.trouble, "the double was told to fail")
        version = self.version()
        self.asked.append((request.model_spec.signature_name, dict(context.invocation_metadata())))
        images = list(request.inputs["image_bytes"].string_val)
        answer = serving.PredictResponse()
        answer.model_spec.name = request.model_spec.name
        answer.model_spec.version.value = version
        if request.model_spec.signature_name == "explain":
            heat = answer.outputs["heat"]
            heat.dtype = tensor_pb2.DT_FLOAT
            for side in (1, 4, 4):
                heat.tensor_shape.dim.add().size = side
            heat.float_val.extend([i / 16 for i in range(16)])
            return answer
        scores = [0.01 if str(version) in self.blind else 0.02 + (len(image) % 97) / 100 for image in images]
        if self.garbage:
            scores = [7.0 for _ in scores]
        for name, kind, values in (
            ("probability", tensor_pb2.DT_FLOAT, scores),
            ("threshold", tensor_pb2.DT_FLOAT, [0.18] * len(images)),
            ("out_of_distribution", tensor_pb2.DT_FLOAT, [0.0] * len(images)),
            ("decision", tensor_pb2.DT_INT64, [int(score >= 0.18) for score in scores]),
        ):
            tensor = answer.outputs[name]
            tensor.dtype = kind
            tensor.tensor_shape.dim.add().size = len(images)
            (tensor.float_val if kind == tensor_pb2.DT_FLOAT else tensor.int64_val).extend(values)
        zones = answer.outputs["zone"]
        zones.dtype = tensor_pb2.DT_STRING
        zones.tensor_shape.dim.add().size = len(images)
        zones.string_val.extend(
            [b"refer" if s >= 0.18 else b"low" if s < 0.03 else b"review" for s in scores]
        )
        return answer

    def GetModelStatus(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        del request, context
        answer = serving.GetModelStatusResponse()
        # Like the real one it holds every version that the file names, whatever its label.
        for version in self._model().model_version_policy.specific.versions:
            answer.model_version_status.add(version=version, state=serving.ModelVersionStatus.AVAILABLE)
        return answer


class Visitor:
    """Somebody with a browser's cookies; forms carry the mark of the page they come from."""

    def __init__(self, client: TestClient, services: Services) -> None:
        self.client = client
        self.services = services

    def sign_in(self, name: str, role: str) -> Visitor:
        """Sign in with a one-time link, made where nobody has that name yet."""
        user = self.services.accounts.named(name) or self.services.accounts.make(name, role, "test")
        token = self.services.sessions.link(user.id)
        page = self.client.get("/sign-in/link", params={"token": token}, headers={"accept": "text/html"})
        answer = self.client.post("/sign-in/link", data={"token": token, "csrf": mark(page.text)})
        assert answer.status_code == 303, answer.text
        return self

    def get(self, path: str, **options: Any) -> Any:
        """The page as HTML."""
        return self.client.get(path, headers={"accept": "text/html"} | options.pop("headers", {}), **options)

    def json(self, path: str, **options: Any) -> Any:
        """The page as JSON."""
        answer = self.client.get(path, headers={"accept": "application/json"}, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, data: dict[str, Any] | None = None, **options: Any) -> Any:
        """Send a form with the mark of the account page, which every role sees."""
        csrf = mark(self.get("/account").text)
        return self.client.post(path, data={"csrf": csrf} | (data or {}), **options)

    def roll_back(self, why: str) -> Any:
        """Press the rollback button of the models page as it is now."""
        page = self.json("/models")
        data = {"why": why, "version": page["previous"], "served": page["channels"]["stable"]}
        return self.post("/models/rollback", data)

    def promote(self, version: str, why: str) -> Any:
        """Press the button of a version's page as it is now."""
        return self.post(
            f"/models/{version}/promote", {"why": why, "served": self.json(f"/models/{version}")["served"]}
        )


def mark(html: str) -> str:
    """The CSRF mark of a page."""
    found = re.search(r'name="csrf" value="([0-9a-f]{64})"', html)
    assert found is not None, html[:400]
    return found[1]


class Running:
    """An application with its threads, and as many visitors as a test wants."""

    def __init__(self, settings: Settings) -> None:
        self.app = create(settings)
        self.services: Services = self.app.state.services
        # Rules are looked at when a test asks, not beside it.
        self.services.alerts.start = lambda: None  # type: ignore[method-assign]
        self.client = TestClient(self.app, base_url="http://127.0.0.1", follow_redirects=False)

    def visitor(self) -> Visitor:
        """A browser with no cookies."""
        return Visitor(
            TestClient(self.app, base_url="http://127.0.0.1", follow_redirects=False), self.services
        )

    def signed_in(self, role: str, name: str = "") -> Visitor:
        """A browser of somebody with this role."""
        return self.visitor().sign_in(name or f"the.{role}", role)

    def token(self, *scopes: str, device: str | None = None) -> dict[str, str]:
        """Headers with a new token."""
        with self.services.database.write() as session:
            made = self.services.tokens.issue(
                session, name="test", scopes=scopes, device_id=device, by="test"
            )
        return {"Authorization": f"Bearer {made}"}


def fill(services: Services) -> None:
    """Answers, outcomes and a fleet."""
    with services.database.waiting():
        sample.field(services.database, services.recorder, services.registry.names()[::-1], SMALL)
    for run in services.runs.all()[-1:]:
        services.data_index.index(run.data_version, services.workspace.root / "data" / "set-0")


class LiveRun:
    """A run under way, step by step: what a page that is open should notice."""

    def __init__(self, made: Workspace, run_id: str, started: int) -> None:
        self._made, self._run_id, self._started = made, run_id, started
        self._held = (made.root / MARKER).open("a")
        fcntl.flock(self._held, fcntl.LOCK_EX)
        # In one step: of half a run the page would say that it was broken off, and nothing would correct that.
        folder = made.run(run_id)
        half = folder.with_name(f".{run_id}")
        half.mkdir(parents=True)
        (half / "config.json").write_text("{}")
        (half / "run.log").touch()
        half.rename(folder)

    def until(self, stop: int) -> None:
        """Write the first steps, the last of them still running."""
        store = Store(self._made.metadata)
        store.run(self._made.root, self._run_id, self._started, stop, RUNNING)
        store.close()

    def finish(self) -> None:
        """Write run.json."""
        document = {
            "run_id": self._run_id, "status": "refused", "reason": "auc is 0.612, must be >= 0.7", "preset": "quick",
            "data": "", "data_version": "", "started": clock.stamp(self._started), "seconds": 61.0, "version": None,
            "model": None, "metrics": None, "threshold": None, "verdicts": [], "steps": [],
        }  # fmt: skip
        write_atomic(self._made.run(self._run_id) / "run.json", json.dumps(document))
        self._held.close()


class Inbox:
    """An HTTP server that keeps what it was sent and answers from a table."""

    def __init__(self) -> None:
        self.received: list[tuple[str, dict[str, str], bytes]] = []
        self.answers: dict[str, tuple[int, bytes]] = {}
        inbox = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def _take(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                inbox.received.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                path = self.path.partition("?")[0]
                status, answer = inbox.answers.get(path, inbox.answers.get("*", (200, b"")))
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = _take  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self._thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self._thread.start()


def pages(running: Any) -> list[str]:
    """Every page that a filled dashboard has."""
    services = running.services
    run, other = services.runs.ids()[:2]
    version = services.registry.all()[0]
    node = next(node for node in services.metadata.nodes(run) if node.name == "StatisticsGen")
    return [
        "/runs",
        "/runs?page=2&state=failed",
        f"/runs/{run}",
        f"/runs/{run}?against={other}",
        f"/runs/{run}/log",
        f"/runs/compare?run={run}&run={other}",
        f"/artifacts/{node.outputs[0].id}",
        "/models",
        f"/models/{version.version}",
        f"/models/{version.version}/evaluation?threshold=0.4",
        "/lineage",
        "/lineage?image=SAMPLE_0_train_00003",
        "/data",
        f"/data/{version.data_version}",
        "/serving",
        "/field?last=90d",
        "/field/predictions?zone=refer",
        "/field/predictions/1",
        "/field/review",
        "/devices",
        "/devices/pi-003",
        "/alerts",
        "/audit?verify=true",
        "/admin",
        "/account",
    ]


class Person:
    """Somebody before a screen; what the page's console complains of fails the test."""

    def __init__(self, browser: Any, base: str, **context: Any) -> None:
        self.base = base
        self.context = browser.new_context(**context)
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.complaints: list[str] = []
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _hear(self, message: Any) -> None:
        # A request that a later one replaces, as the slider's do, is aborted, and htmx calls that an error; one that
        # failed says sendError or responseError as well.
        aborted = message.text.startswith(("htmx:afterRequest", "htmx:sendAbort"))
        if message.type == "error" and not aborted:
            self.complaints.append(message.text)

    def sign_in(self, running: Any, name: str, role: str) -> Person:
        services = running.services
        user = services.accounts.named(name) or services.accounts.make(name, role, "test")
        self.page.goto(f"{self.base}/sign-in/link?token={services.sessions.link(user.id)}")
        self.page.get_by_role("button", name="Continue").press("Enter")
        self.page.wait_for_url(re.compile("/account|/runs"))
        return self

    def go(self, path: str) -> Any:
        self.page.goto(self.base + path)
        return self.page

"""A small HTTP double of the Kubeflow Pipelines API server (v2beta1), as its clients call it."""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

Message = dict[str, Any]
RUN_ID = "0f2c6d1e-5b1c-4c7b-9a44-1c1d5a3b7e01"


@dataclass
class ApiDouble:
    """What the server was sent, and what it is to answer."""

    # Each question is answered with the next; the last stays.
    states: list[Message] = field(default_factory=list)
    logs: dict[str, str] = field(default_factory=dict)
    token: str = ""
    # Answers to that many questions about a run are lost.
    outages: int = 0
    runs: list[Message] = field(default_factory=list)
    recurring: list[Message] = field(default_factory=list)
    experiments: list[str] = field(default_factory=list)
    host: str = ""

    def answer(self, method: str, path: str, body: Message) -> tuple[int, Message | str]:
        """Answer one request."""
        if method == "GET" and path == "/apis/v2beta1/healthz":
            return 200, {"multi_user": False}
        if path == "/apis/v2beta1/experiments":
            if method == "GET":
                return 200, {"experiments": [_experiment(name) for name in self.experiments]}
            self.experiments.append(body["display_name"])
            return 200, _experiment(body["display_name"])
        if method == "POST" and path == "/apis/v2beta1/runs":
            problem = _problem(body)
            if problem:
                return 400, {"error": problem, "code": 3, "message": problem}
            self.runs.append(body)
            return 200, {"run_id": RUN_ID, "display_name": body["display_name"]}
        if method == "POST" and path == "/apis/v2beta1/recurringruns":
            problem = _problem(body)
            if problem:
                return 400, {"error": problem, "code": 3, "message": problem}
            self.recurring.append(body)
            return 200, {"recurring_run_id": "recurring-1", "display_name": body["display_name"]}
        if method == "GET" and path == f"/apis/v2beta1/runs/{RUN_ID}":
            if self.outages:
                self.outages -= 1
                return 503, {"error": "unavailable"}
            state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
            return 200, {"run_id": RUN_ID, **state}
        found = re.fullmatch(rf"/apis/v1alpha1/runs/{RUN_ID}/nodes/([^/]+)/log", path)
        if found and found.group(1) in self.logs:
            return 200, self.logs[found.group(1)]
        return 404, {"error": f"{method} {path} not found"}


@contextmanager
def serving(double: ApiDouble) -> Iterator[ApiDouble]:
    """Serve the double on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or b"{}")
            if double.token and self.headers.get("Authorization") != f"Bearer {double.token}":
                status, content = 401, {"error": "Unauthenticated"}
            else:
                status, content = double.answer(self.command, urlsplit(self.path).path, body)
            data = content.encode() if isinstance(content, str) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain" if isinstance(content, str) else "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = _serve  # noqa: N815 - http.server's names

        def log_message(self, format: str, *args: object) -> None:
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    double.host = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield double
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def task(name: str, state: str, *, pod: str = "", error: str = "", number: int = 0) -> Message:
    """Return one entry of a run's `task_details`."""
    result: Message = {
        # Of Argo's nodes: unique, which their names are not. `pod_name` is null in KFP 2.17.
        "task_id": str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}/{number}")),
        "pod_name": None,
        "display_name": name,
        "state": state,
        "start_time": "2026-11-22T03:00:00Z",
        "child_tasks": [{"pod_name": pod}] if pod else [],
    }
    if state not in {"RUNNING", "PENDING"}:
        result["end_time"] = "2026-11-22T03:00:42Z"
    if error:
        result["error"] = {"code": 13, "message": error}
    return result


def state(name: str, *tasks: Message) -> Message:
    """Return a run's answer."""
    return {"state": name, "run_details": {"task_details": list(tasks)}}


def _experiment(name: str) -> Message:
    return {"experiment_id": f"id-of-{name}", "display_name": name}


def _problem(body: Message) -> str:
    """Parse as the API server does; return what it would say."""
    given = body.get("pipeline_spec", {})
    try:
        json_format.ParseDict(given.get("pipeline_spec", given), pipeline_spec_pb2.PipelineSpec())
        json_format.ParseDict(given.get("platform_spec", {}), pipeline_spec_pb2.PlatformSpec())
    except json_format.ParseError as problem:
        return f"Failed to validate the pipeline spec: {problem}"
    return ""

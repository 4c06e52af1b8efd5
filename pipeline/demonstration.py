"""Serves the released model for a moment and asks it over gRPC, from another process: the proof of a run."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

from core import features, tfrecord
from core.errors import RunFaultError
from core.tfserving.channel import ClientError, Options
from core.tfserving.client import Client
from core.workspace import Workspace

READY = re.compile(r"Running gRPC ModelServer at (\S+:\d+) ")
START_SECONDS = 120
ANSWER_SECONDS = 60.0  # of the first request, which makes the graph ready


@dataclass(frozen=True)
class AnswerToOne:
    """The server's answer about one test image."""

    image_name: str
    target: int
    probability: float
    decision: int
    threshold: float
    zone: str
    version: str

    def sentence(self) -> str:
        """Return the answer in words."""
        truth = "melanoma" if self.target else "no melanoma"
        said = "suspicious" if self.decision else "not suspicious"
        return (
            f"{self.image_name} ({truth}): {self.probability:.4f}, {said} at {self.threshold:.4f}, "
            f"zone {self.zone}, by version {self.version}, over gRPC"
        )


def ask(workspace: Workspace, model_name: str, data: Path) -> AnswerToOne:
    """Start the embedded server on a free port, ask it about the first test image, stop it.

    Raises:
        RunFaultError: the server did not start or did not answer.
    """
    file = sorted((data / "test").glob("*.tfrecord.gz"))[0]
    example = next(tfrecord.examples(file))
    command = [
        *(sys.executable, "-m", "serving"),
        *("--port=-1", "--rest_api_port=0", "--host=127.0.0.1"),
        f"--model_config_file={workspace.server_config}",
        "--allow_version_labels_for_unavailable_models",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        watchdog = threading.Timer(START_SECONDS, server.kill)
        watchdog.start()
        reader: threading.Thread | None = None
        try:
            address = _await_start(server)
            # Go on reading, or a full pipe would stop the server.
            reader = threading.Thread(target=server.communicate)
            reader.start()
            with Client(address, Options(timeout_s=ANSWER_SECONDS)) as client:
                image = tfrecord.first(example, features.IMAGE)
                outputs = client.predict(model_name, {features.IMAGE_BYTES: [image]}).outputs
        except ClientError as error:
            raise RunFaultError(f"the server did not answer: {error}") from None
        finally:
            watchdog.cancel()
            server.terminate()
            if reader is not None:
                reader.join()
    return AnswerToOne(
        image_name=tfrecord.text(example, features.IMAGE_NAME),
        target=int(tfrecord.first(example, features.TARGET)),
        probability=float(outputs[features.PROBABILITY][0]),
        decision=int(outputs[features.DECISION][0]),
        threshold=float(outputs[features.THRESHOLD][0]),
        zone=outputs[features.ZONE][0].decode(),
        version=outputs[features.MODEL_VERSION][0].decode(),
    )


def _await_start(server: subprocess.Popen[str]) -> str:
    """Return the address that the server listens on, as it says it: a port chosen here could be somebody else's by then."""
    lines = []
    for line in server.stdout or ():
        lines.append(line)
        if ready := READY.search(line):
            return ready[1]
    raise RunFaultError(f"the server did not start: {''.join(lines[-3:]).strip() or 'it said nothing'}")

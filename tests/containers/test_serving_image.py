"""The server in its image: serves what the pipeline's image pushed, read-only, and drains."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from core.features import IMAGE_BYTES, MODEL_NAME, MODEL_VERSION, PROBABILITY
from core.tfserving.channel import ONCE, ClientError, Options
from core.tfserving.client import Client
from tests.containers.engine import Engine, Smoke
from tests.containers.server import lesion, model_server

pytestmark = [pytest.mark.container, pytest.mark.timeout(3600)]


def version_of(workspace: Path) -> str:
    """The version the workspace serves."""
    return next(p.name for p in sorted((workspace / "serving" / MODEL_NAME).iterdir()) if p.name.isdigit())


def test_what_it_is(engine: Engine, serving_image: str) -> None:
    config = engine.inspect(serving_image)["Config"]
    assert config["User"] == "10001:10001"
    assert config["Healthcheck"]["Test"][0] == "CMD"
    assert config["StopSignal"] == "SIGTERM"


def test_prediction_and_drain(engine: Engine, serving_image: str, smoke: Smoke) -> None:
    image = lesion()
    with model_server(engine, serving_image, smoke.workspace) as server:
        with Client(server.address(8500)) as client:
            outputs = client.predict(MODEL_NAME, {IMAGE_BYTES: [image]}).outputs
        assert 0 <= float(outputs[PROBABILITY][0]) <= 1
        assert outputs[MODEL_VERSION][0].decode() == version_of(smoke.workspace)

        answers: list[object] = []
        enough = threading.Event()

        def ask() -> None:
            with Client(server.address(8500), Options(retry=ONCE)) as own:
                while True:
                    try:
                        answers.append(own.predict(MODEL_NAME, {IMAGE_BYTES: [image]}).outputs)
                    except ClientError as error:
                        # Refused after the signal, before any work: the caller may ask another server.
                        answers.append(error)
                        return
                    if len(answers) > 20:
                        enough.set()

        askers = [threading.Thread(target=ask) for _ in range(4)]
        for one in askers:
            one.start()
        assert enough.wait(120)
        engine.docker("kill", "--signal", "TERM", server.name)
        assert engine.docker("wait", server.name).strip() == "0"
        for one in askers:
            one.join(60)
        refused = [one for one in answers if isinstance(one, ClientError)]
        assert len(refused) == 4
        assert {one.code.name for one in refused} == {"UNAVAILABLE"}
        assert "Drained" in server.logs()

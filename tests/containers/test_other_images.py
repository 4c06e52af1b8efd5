"""Dashboard and device in their images."""

from __future__ import annotations

import json
import urllib.request

import pytest

from tests.containers.engine import RESTRICTED, ROOT, Engine, Smoke
from tests.containers.server import started

pytestmark = [pytest.mark.container, pytest.mark.timeout(3600)]


def test_dashboard(engine: Engine, dashboard_image: str, smoke: Smoke) -> None:
    config = engine.inspect(dashboard_image)["Config"]
    assert config["User"] == "10001:10001"
    assert config["Healthcheck"]["Test"][0] == "CMD"
    settings = ROOT / "k8s" / "base" / "dashboard"
    options = [
        *(*RESTRICTED, "--publish", "127.0.0.1::8600"),
        *("--tmpfs", "/tmp:mode=1777", "--tmpfs", "/var/lib/dashboard:uid=10001,mode=700"),
        *("--volume", f"{smoke.workspace}:/workspace", "--volume", f"{settings}:/etc/dashboard:ro"),
    ]
    with started(engine, dashboard_image, options, "--config", "/etc/dashboard/dashboard.yaml") as dashboard:
        address = dashboard.address(8600)
        dashboard.await_page(f"http://{address}/readyz")
        request = urllib.request.Request(f"http://{address}/healthz", headers={"Host": "localhost"})
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - a test's own server
            assert json.load(answer) == {"status": "ok"}


def test_layout(engine: Engine, dashboard_image: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    volume = tmp_path_factory.mktemp("volume")
    volume.chmod(0o777)
    engine.docker(
        *("run", "--rm", "--network", "none", *RESTRICTED, "--entrypoint", "sh"),
        *("--volume", f"{ROOT / 'k8s/base/registry'}:/layout:ro", "--volume", f"{volume}:/workspace"),
        *(dashboard_image, "/layout/layout.sh", "/workspace"),
    )
    assert "model_config_list" in (volume / "serving" / "models.config").read_text()


def test_device(engine: Engine) -> None:
    image = engine.build("edge.Dockerfile", "melanosizer-edge:test")
    config = engine.inspect(image)["Config"]
    assert config["User"] == "10001:10001"
    assert config["Healthcheck"]["Test"][0] == "CMD"
    said = engine.docker(
        *("run", "--rm", "--network", "none", *RESTRICTED, "--tmpfs", "/tmp:mode=1777"),
        *("--tmpfs", "/var/lib/melanosizer-edge:uid=10001,mode=700", "--env", "MELANOSIZER_EDGE_CONFIG="),
        *("--volume", f"{ROOT / 'docs/images'}:/pictures:ro", image),
        *("selftest", "--without-server", "--json", "--camera", "folder:/pictures"),
        check=False,
    )
    assert '"camera"' in said

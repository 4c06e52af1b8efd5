"""The Pusher's folders, the registry's file, the server's flags and the pod's probes mean the same."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import ModuleType

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from core.features import MODEL_NAME
from core.registry.model_server_config import ServedModel, render
from core.workspace import MARKER, Workspace
from serving import flags
from serving.config_files import read_model_config
from tests.k8s.manifests import K8S, overlay, pod
from tests.support.server_process import PATIENCE_S, ServerProcess

WORKSPACE = Path("/workspace")


def lay_out(workspace: Path, user: int | None = None) -> subprocess.CompletedProcess[str]:
    """Run the init container's script."""
    script = (K8S / "base" / "registry" / "layout.sh").read_text()
    return subprocess.run(
        ["sh", "-s", str(workspace)],
        input=script,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        user=user,
        check=False,
    )


def program(name: str) -> ModuleType:
    """A program that the cluster mounts from a ConfigMap."""
    spec = importlib.util.spec_from_file_location(name, K8S / "base" / "registry" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _released(folder: Path) -> str:
    return render(ServedModel(MODEL_NAME, str(folder), ("1795303056",), {"stable": "1795303056"}))


def test_the_server_reads_where_the_pusher_writes() -> None:
    server = overlay("staging").container("tf-serving", "tf-serving")
    options = flags.parse(server["args"])
    place = Workspace(WORKSPACE)
    assert Path(options.model_config_file) == place.serving / "models.config"
    (mount,) = [one for one in server["volumeMounts"] if one["name"] == "workspace"]
    # models.config holds absolute paths: the volume's folder must be where it was for the Pusher.
    assert WORKSPACE / mount["subPath"] == Path(mount["mountPath"]) == place.serving
    text = _released(place.serving / MODEL_NAME)
    assert f'base_path: "{mount["mountPath"]}/{MODEL_NAME}"' in text


def test_writers_mount_the_workspace_where_the_server_expects_it() -> None:
    rendered = overlay("staging")
    for owner, name in (("dashboard", "dashboard"), ("dashboard", "layout"), ("registry-check", "check")):
        mounts = {one["name"]: one for one in rendered.container(owner, name)["volumeMounts"]}
        assert Path(mounts["workspace"]["mountPath"]) == WORKSPACE
    spec = pod(rendered.one("Deployment", "dashboard"))["spec"]
    assert spec["initContainers"][0]["command"][-1] == str(WORKSPACE)


def test_the_pipelines_steps_find_their_volumes() -> None:
    from pipeline.targets.kubeflow.cluster import Cluster

    rendered = overlay("staging")
    claims = {volume.claim: volume.path for volume in Cluster().volumes}
    assert claims["melanosizer-workspace"] == str(WORKSPACE)
    for claim in claims:
        assert rendered.one("PersistentVolumeClaim", claim)["spec"]["accessModes"] == ["ReadWriteMany"]
    (role,) = rendered.all("Role")
    named = [
        rule["resourceNames"] for rule in role["rules"] if rule["resources"] == ["persistentvolumeclaims"]
    ]
    assert [set(one) for one in named] == [claims.keys()]


def test_readiness_asks_for_the_model_that_the_registry_writes() -> None:
    server = overlay("staging").container("tf-serving", "tf-serving")
    assert server["readinessProbe"]["httpGet"]["path"] == f"/v1/models/{MODEL_NAME}/metadata"
    assert f'name: "{MODEL_NAME}"' in _released(Path("/x"))


def test_layout_makes_a_workspace_that_the_pipeline_takes(tmp_path: Path) -> None:
    # What a new ext4 volume holds.
    (tmp_path / "lost+found").mkdir()
    assert lay_out(tmp_path).returncode == 0
    assert (tmp_path / MARKER).is_file()
    assert (tmp_path / "serving").stat().st_mode & 0o777 == 0o755
    Workspace(tmp_path).prepare()
    assert not read_model_config(tmp_path / "serving" / "models.config").model_config_list.config
    config = tmp_path / "serving" / "models.config"
    config.write_text("released")
    assert lay_out(tmp_path).returncode == 0
    assert config.read_text() == "released"
    assert [path.name for path in (tmp_path / "serving").iterdir()] == ["models.config"]


def test_whoever_mounts_a_part_of_the_volume_lays_it_out_first() -> None:
    """The kubelet makes a missing subPath as root:root 0755, which nobody else can write into ever after."""
    for name in ("dev", "staging", "prod"):
        rendered = overlay(name)
        for workload in rendered.workloads():
            spec = pod(workload)["spec"]
            claims = {
                volume["name"]
                for volume in spec["volumes"]
                if volume.get("persistentVolumeClaim", {}).get("claimName") == "melanosizer-workspace"
            }
            parts = [
                mount
                for container in spec["containers"]
                for mount in container["volumeMounts"]
                if mount["name"] in claims and "subPath" in mount
            ]
            if parts:
                (layout,) = [one for one in spec["initContainers"] if one["name"] == "layout"]
                assert layout["command"] == ["sh", "/layout/layout.sh", str(WORKSPACE)]
                (whole,) = [one for one in layout["volumeMounts"] if one["name"] in claims]
                assert "subPath" not in whole


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_volume_of_another_owner_is_named(tmp_path: Path) -> None:
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    try:
        folder.chmod(0o755)
        done = lay_out(folder, user=10001)
        assert done.returncode == 1
        assert "not writable for user and group 10001: chown it" in done.stderr
    finally:
        shutil.rmtree(folder)


def test_probes_follow_a_first_release(tmp_path: Path) -> None:
    from components.pusher.executor import push
    from tests.support import model_zoo

    server = overlay("staging").container("tf-serving", "tf-serving")
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    assert lay_out(workspace).returncode == 0
    nothing = (workspace / "serving" / "models.config").read_text()
    here = {
        str(WORKSPACE): str(workspace),
        "/etc/tf-serving": str(K8S / "base" / "serving"),
        "poll_wait_seconds=5": "poll_wait_seconds=0.1",
    }
    arguments = [one for one in server["args"] if not one.startswith(("--port", "--rest_api_port"))]
    for old, new in here.items():
        arguments = [one.replace(old, new) for one in arguments]
    ready = server["readinessProbe"]["httpGet"]["path"]
    with ServerProcess(tmp_path / "server", *arguments) as running:
        health = health_pb2_grpc.HealthStub(running.channel)

        def alive() -> bool:
            answer = health.Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE_S)
            return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

        def readiness() -> int:
            return int(running.http("GET", ready)[0])

        def await_readiness(wanted: int) -> None:
            limit = time.monotonic() + PATIENCE_S
            while readiness() != wanted and time.monotonic() < limit:
                time.sleep(0.05)
            assert readiness() == wanted

        def release(text: str) -> None:
            partial = workspace / "serving" / ".models.config.partial"
            partial.write_text(text)
            partial.replace(workspace / "serving" / "models.config")

        # Before the first release: alive, so that it is not restarted, and not ready.
        assert alive()
        assert readiness() == 404
        model_zoo.half_plus(tmp_path / "export", 1.0)
        push(tmp_path / "export", workspace / "serving" / MODEL_NAME, "1795303056")
        # The version is there, but the registry has not released it.
        assert readiness() == 404
        release(_released(workspace / "serving" / MODEL_NAME))
        running.await_state(MODEL_NAME, 1795303056, "AVAILABLE")
        await_readiness(200)
        status, answer = running.get(f"/v1/models/{MODEL_NAME}")
        assert status == 200
        assert [one["state"] for one in answer["model_version_status"]] == ["AVAILABLE"]
        assert alive()
        # Nothing released any more, for example a volume that was emptied.
        release(nothing)
        await_readiness(404)
        assert alive()

"""How TensorFlow Serving runs: followed configuration, batches, probes, drain, spread, mutual TLS."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.trainer.model import classifier
from core.registry.rollout import Rollout
from serving import flags
from serving.config_files import read_batching, read_monitoring_path
from serving.options import Options
from tests.k8s.manifests import K8S, OVERLAYS, Rendered, everything, overlay, pod

SERVER = ("tf-serving", "tf-serving")


@pytest.fixture(params=[*OVERLAYS, "everything"])
def rendered(request: pytest.FixtureRequest) -> Rendered:
    return everything() if request.param == "everything" else overlay(request.param)


def test_its_flags_are_those_of_the_server(rendered: Rendered) -> None:
    # TensorFlow Serving prints a flag that it does not know and goes on without: only its own list tells.
    listed = (Path(__file__).parent / "tensorflow_model_server_flags.txt").read_text().splitlines()
    given = [one.removeprefix("--").partition("=")[0] for one in rendered.container(*SERVER)["args"]]
    assert set(given) <= {line for line in listed if not line.startswith("#")}
    # The embedded server takes them as well: it stands in for it in the dev overlay.
    options = flags.parse(rendered.container(*SERVER)["args"])
    assert options.port == 8500
    assert options.rest_api_port == 8501
    assert options.model_config_file_poll_wait_seconds == 5
    assert options.file_system_poll_wait_seconds == 5
    assert options.allow_version_labels_for_unavailable_models
    assert options.enable_model_warmup
    assert options.enable_batching
    assert options.enable_grpc_healthcheck_service
    mounts = {one["mountPath"]: one for one in rendered.container(*SERVER)["volumeMounts"]}
    assert options.batching_parameters_file.rpartition("/")[0] in mounts
    assert options.monitoring_config_file.rpartition("/")[0] in mounts


def test_its_files_are_read_by_the_server(rendered: Rendered) -> None:
    held = rendered.one("ConfigMap", "tf-serving-config")["data"]
    for name in ("batching.config", "monitoring.config"):
        assert held[name] == (K8S / "base" / "serving" / name).read_text()
    batching = read_batching(K8S / "base" / "serving" / "batching.config")
    assert batching.max_batch_size == 8
    assert batching.allowed_batch_sizes == (1, 2, 4, 8)
    path = read_monitoring_path(K8S / "base" / "serving" / "monitoring.config")
    for monitor in rendered.all("PodMonitor"):
        assert [one["path"] for one in monitor["spec"]["podMetricsEndpoints"]] == [path]


def test_its_memory_holds_a_swap_of_the_largest_model_of_constants(rendered: Rendered) -> None:
    # benchmarks/README.md: beside 550 MiB a model takes 11 times its weights, and 23 times while it loads.
    swap = 550 * 2**20 + (11 + 23) * classifier.LARGEST_CONSTANTS
    limit = rendered.container(*SERVER)["resources"]["limits"]["memory"]
    assert int(limit.removesuffix("Gi")) * 2**30 > swap + Options().max_request_memory_bytes


def test_models_are_read_only(rendered: Rendered) -> None:
    spec = pod(rendered.one("Deployment", "tf-serving"))["spec"]
    (mount,) = [
        m for m in rendered.container(*SERVER)["volumeMounts"] if m["mountPath"] == "/workspace/serving"
    ]
    assert mount["readOnly"] is True
    claims = {volume["name"] for volume in spec["volumes"] if "persistentVolumeClaim" in volume}
    writers = {
        container["name"]
        for container in (*spec.get("initContainers", []), *spec["containers"])
        for mount in container["volumeMounts"]
        if mount["name"] in claims and not mount.get("readOnly")
    }
    assert writers <= {"layout"}


def test_probes(rendered: Rendered) -> None:
    server = rendered.container(*SERVER)
    assert server["startupProbe"]["grpc"] == {"port": 8500}
    assert server["livenessProbe"]["grpc"] == {"port": 8500}
    # Long enough for a large model's load and warm-up.
    assert server["startupProbe"]["periodSeconds"] * server["startupProbe"]["failureThreshold"] >= 300
    assert server["readinessProbe"]["httpGet"]["port"] == "rest"


def test_drain(rendered: Rendered) -> None:
    spec = pod(rendered.one("Deployment", "tf-serving"))["spec"]
    waits = {one["name"]: one["lifecycle"]["preStop"]["sleep"]["seconds"] for one in spec["containers"]}
    # TensorFlow Serving ends at once; the embedded server of the dev overlay drains for so long after preStop.
    embedded = rendered.container(*SERVER)["command"] == ["melanosizer-serve"]
    drain = Options.model_fields["drain_seconds"].default if embedded else 10
    assert spec["terminationGracePeriodSeconds"] > max(waits.values()) + drain
    if "mtls" in waits:
        # worker_shutdown_timeout: the proxy has drained before the server behind it is told to end.
        assert waits["mtls"] + 25 < waits["tf-serving"]


def test_rollout_keeps_all_servers(rendered: Rendered) -> None:
    rolling = rendered.one("Deployment", "tf-serving")["spec"]["strategy"]
    assert rolling == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}


def test_disruption_budget(rendered: Rendered) -> None:
    budget = rendered.one("PodDisruptionBudget", "tf-serving")["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_spread_over_nodes_and_zones(rendered: Rendered) -> None:
    spec = pod(rendered.one("Deployment", "tf-serving"))["spec"]
    keys = {one["topologyKey"] for one in spec["topologySpreadConstraints"]}
    assert keys == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}


def test_production_never_puts_two_on_one_node() -> None:
    spec = pod(overlay("prod").one("Deployment", "tf-serving"))["spec"]
    by_key = {one["topologyKey"]: one["whenUnsatisfiable"] for one in spec["topologySpreadConstraints"]}
    assert by_key["kubernetes.io/hostname"] == "DoNotSchedule"


def test_the_registry_asks_every_pod(rendered: Rendered) -> None:
    """One that is not ready yet, too: it may have read the file before the new version stood in it."""
    every = rendered.one("Service", "tf-serving-pods")["spec"]
    assert every["clusterIP"] == "None"
    assert every["publishNotReadyAddresses"] is True
    for owner, name in (("registry-settle", "settle"), ("dashboard", "dashboard")):
        given = {one["name"]: one.get("value", "") for one in rendered.container(owner, name)["env"]}
        rollout = Rollout(tuple(given["MELANOSIZER_MODEL_SERVERS"].split(",")))
        assert rollout.servers == ("tf-serving-pods:8500",)
        assert float(given["MELANOSIZER_SETTLE_SECONDS"]) >= 60
    from pipeline.targets.kubeflow.cluster import Cluster

    assert Cluster().model_servers == rollout.servers


def test_headless_service(rendered: Rendered) -> None:
    headless = rendered.one("Service", "tf-serving-headless")["spec"]
    assert headless["clusterIP"] == "None"
    assert {port["name"] for port in headless["ports"]} == {"grpc", "rest"}


@pytest.mark.parametrize("name", ["staging", "prod"])
def test_autoscaler(name: str) -> None:
    rendered = overlay(name)
    scaler = rendered.one("HorizontalPodAutoscaler", "tf-serving")
    assert scaler["apiVersion"] == "autoscaling/v2"
    assert scaler["spec"]["minReplicas"] >= 2
    assert scaler["spec"]["maxReplicas"] > scaler["spec"]["minReplicas"]
    (metric,) = scaler["spec"]["metrics"]
    assert metric["containerResource"]["container"] == "tf-serving"
    # A number in the manifest would undo the autoscaler's at every deployment.
    assert "replicas" not in rendered.one("Deployment", "tf-serving")["spec"]


@pytest.mark.parametrize("name", ["staging", "prod"])
def test_devices_come_through_mutual_tls_only(name: str) -> None:
    rendered = overlay(name)
    (outside,) = [one for one in rendered.all("Service") if one["spec"].get("type") == "LoadBalancer"]
    assert [port["targetPort"] for port in outside["spec"]["ports"]] == ["mtls"]
    conf = rendered.one("ConfigMap", "mtls-config")["data"]["nginx.conf"]
    assert "ssl_verify_client on;" in conf
    assert conf.count("listen ") == 2
    tls = next(
        v for v in pod(rendered.one("Deployment", "tf-serving"))["spec"]["volumes"] if v["name"] == "tls"
    )
    certificate = rendered.one("Certificate", "tf-serving")["spec"]
    assert tls["secret"]["secretName"] == certificate["secretName"]
    assert certificate["usages"] == ["server auth"]
    authority = rendered.one("Certificate", "devices-authority")["spec"]
    assert authority["isCA"] is True
    assert rendered.one("Issuer", "devices")["spec"]["ca"]["secretName"] == authority["secretName"]


def test_storage_s3_gives_each_server_a_copy() -> None:
    rendered = overlay("prod")
    copy = rendered.container("tf-serving", "copy")
    # A sidecar: started before the server, alive as long as it.
    assert copy["restartPolicy"] == "Always"
    assert copy["command"][2:] == ["store:$(BUCKET)/serving", "/workspace/serving"]
    publisher = rendered.container("registry-publisher", "copy")
    assert publisher["command"][2:] == ["/workspace/serving", "store:$(BUCKET)/serving"]
    volumes = pod(rendered.one("Deployment", "tf-serving"))["spec"]["volumes"]
    assert not any("persistentVolumeClaim" in volume for volume in volumes)


def test_storage_pvc_is_shared_and_kept() -> None:
    claim = overlay("staging").one("PersistentVolumeClaim", "melanosizer-workspace")
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    assert claim["spec"]["storageClassName"] == "shared-files"
    assert "Prune=false" in claim["metadata"]["annotations"]["argocd.argoproj.io/sync-options"]

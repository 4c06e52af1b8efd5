"""The proxy of k8s/components/cert-manager before a real server: who gets through, with what, and how it ends."""

from __future__ import annotations

import json
import shutil
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from core.features import IMAGE_BYTES, MODEL_NAME, PROBABILITY
from core.tfserving.channel import ONCE, ClientError, Options, Tls
from core.tfserving.client import Client
from serving.protos import (
    get_model_metadata_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    prediction_service_pb2_grpc,
)
from tests.containers.authority import Authority
from tests.containers.engine import RESTRICTED, ROOT, Engine, Smoke
from tests.containers.server import Running, lesion, model_server, started

pytestmark = [pytest.mark.container, pytest.mark.timeout(3600)]

HOST = "models.melanosizer.example"
CONF = ROOT / "k8s" / "components" / "cert-manager" / "nginx.conf"


@dataclass(frozen=True)
class Front:
    """The proxy and where it is."""

    proxy: Running
    address: str
    folder: Path
    authority: Authority

    def client(self, shown: Path, timeout: float = 10) -> Client:
        """A client that shows the certificate of a folder."""
        tls = Tls(self.folder / "server" / "ca.crt", shown / "tls.key", shown / "tls.crt", HOST)
        return Client(self.address, Options(tls=tls, retry=ONCE, timeout_s=timeout))

    def channel(self, shown: Path) -> grpc.Channel:
        """A bare channel that shows the certificate of a folder."""
        credentials = grpc.ssl_channel_credentials(
            (self.folder / "server" / "ca.crt").read_bytes(),
            (shown / "tls.key").read_bytes(),
            (shown / "tls.crt").read_bytes(),
        )
        return grpc.secure_channel(self.address, credentials, [("grpc.ssl_target_name_override", HOST)])

    def device(self, name: str) -> Path:
        """A device's certificate."""
        return self.authority.issue(self.folder / name, name)


@pytest.fixture
def front(
    engine: Engine, serving_image: str, third_parties: str, smoke: Smoke, tmp_path: Path
) -> Iterator[Front]:
    authority = Authority("melanosizer devices")
    authority.issue(tmp_path / "server", HOST, server=True)
    # As a ConfigMap is: readable by all, though this folder is not.
    (tmp_path / "conf").mkdir()
    shutil.copy(CONF, tmp_path / "conf" / "nginx.conf")
    tmp_path.chmod(0o755)
    options = [
        *RESTRICTED,
        *("--tmpfs", "/tmp:size=64m,mode=1777", "--tmpfs", "/var/log/nginx:mode=1777"),
        *("--volume", f"{tmp_path / 'conf'}:/etc/mtls:ro", "--volume", f"{tmp_path / 'server'}:/etc/tls:ro"),
    ]
    # The containers of a pod share an address.
    with (
        model_server(engine, serving_image, smoke.workspace, 8443, 8080) as server,
        started(
            engine,
            third_parties,
            [*options, "--network", f"container:{server.name}"],
            *("nginx", "-e", "/dev/stderr", "-c", "/etc/mtls/nginx.conf", "-g", "daemon off;"),
        ) as proxy,
    ):
        proxy.await_page(f"http://{server.address(8080)}/healthz")
        yield Front(proxy, server.address(8443), tmp_path, authority)


def test_who_gets_through(front: Front) -> None:
    image = lesion()
    with front.client(front.device("ward-3")) as device:
        outputs = device.predict(MODEL_NAME, {IMAGE_BYTES: [image]}).outputs
        assert 0 <= float(outputs[PROBABILITY][0]) <= 1
        assert [one.state for one in device.status(MODEL_NAME)] == ["AVAILABLE"]
    with front.channel(front.device("ward-3")) as channel:
        asked = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        asked.model_spec.name = MODEL_NAME
        reply = prediction_service_pb2_grpc.PredictionServiceStub(channel).GetModelMetadata(asked, timeout=10)
        found = get_model_metadata_pb2.SignatureDefMap()
        reply.metadata["signature_def"].Unpack(found)
        assert IMAGE_BYTES in found.signature_def["serving_default"].inputs
        # A device may ask, not change what is served.
        with pytest.raises(grpc.RpcError, match="UNIMPLEMENTED"):
            model_service_pb2_grpc.ModelServiceStub(channel).HandleReloadConfigRequest(
                model_management_pb2.ReloadConfigRequest(), timeout=10
            )
    lines = [json.loads(line) for line in front.proxy.logs().splitlines() if line.startswith('{"time"')]
    assert {line["device"] for line in lines} == {"ward-3"}
    assert lines[0]["method"].endswith("/Predict")

    stranger = Authority("somebody else").issue(front.folder / "stranger", "ward-3")
    with front.client(stranger) as client, pytest.raises(ClientError):
        client.predict(MODEL_NAME, {IMAGE_BYTES: [image]})
    without = Tls(ca=front.folder / "server" / "ca.crt", server_name=HOST)
    with (
        Client(front.address, Options(tls=without, retry=ONCE)) as client,
        pytest.raises(ClientError),
    ):
        client.predict(MODEL_NAME, {IMAGE_BYTES: [image]})


def test_one_device_cannot_crowd_out_the_others(front: Front) -> None:
    asked = 60
    refused: list[str] = []
    with front.client(front.device("ward-4")) as eager:
        for _ in range(asked):
            try:
                eager.status(MODEL_NAME)
            except ClientError as error:
                refused.append(error.code.name)
    # Five a second and twenty at once; how long sixty take is the machine's affair.
    assert len(refused) <= asked - 20
    assert set(refused) <= {"RESOURCE_EXHAUSTED"}
    with front.client(front.device("ward-5")) as other:
        other.status(MODEL_NAME)


def test_a_renewed_certificate_needs_no_restart(front: Front) -> None:
    def shown() -> str:
        host, port = front.address.split(":")
        return ssl.get_server_certificate((host, int(port)))

    first = shown()
    front.authority.issue(front.folder / "server", HOST, server=True)
    assert shown() != first
    with front.client(front.device("ward-6")) as device:
        device.status(MODEL_NAME)


def test_it_drains_before_it_ends(engine: Engine, front: Front) -> None:
    image = lesion()
    answers: list[object] = []
    enough = threading.Event()
    shown = front.device("ward-7")

    def ask() -> None:
        with front.client(shown) as device:
            while True:
                try:
                    answers.append(device.predict(MODEL_NAME, {IMAGE_BYTES: [image]}).outputs)
                except ClientError as error:
                    answers.append(error)
                    if error.code.name != "RESOURCE_EXHAUSTED":
                        return
                if len(answers) > 3:
                    enough.set()

    asker = threading.Thread(target=ask)
    asker.start()
    assert enough.wait(120)
    # The signal of the official image, which the kubelet sends.
    engine.docker("kill", "--signal", "QUIT", front.proxy.name)
    assert engine.docker("wait", front.proxy.name).strip() == "0"
    asker.join(60)
    assert not asker.is_alive()
    # What was begun was answered; what came later found no listener.
    assert isinstance(answers[-1], ClientError)
    assert answers[-1].code.name == "UNAVAILABLE"

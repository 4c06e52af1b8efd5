"""Who is let in, to what, and how it is protected: TLS, mTLS, token, rate, the limit at once, canary and shadow."""

from __future__ import annotations

import datetime
import http.client
import json
import ssl
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from core.rate_limit import RateLimiter
from core.tfserving.channel import ONCE, ClientError, Options, Tls
from core.tfserving.client import Client
from serving.operations.metrics import Metrics
from serving.status import ServingError
from serving.versions.traffic import read_traffic
from tests.support.server_process import PATIENCE_S, ServerProcess, model_config, until


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    """ca.pem, and server and client certificates with their keys, as files."""
    folder = tmp_path_factory.mktemp("pki")
    now = datetime.datetime.now(datetime.UTC)
    keys = {who: ec.generate_private_key(ec.SECP256R1()) for who in ("ca", "server", "client")}
    for who, key in keys.items():
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(who)).issuer_name(_name("ca")).public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=who == "ca", path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(keys["ca"].public_key()), critical=False
            )
        )  # fmt: skip
        if who != "ca":
            names = [x509.DNSName("localhost"), x509.DNSName("model.test")]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        else:
            usage = dict.fromkeys(
                ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only",
                 "decipher_only"), False,
            )  # fmt: skip
            builder = builder.add_extension(
                x509.KeyUsage(digital_signature=True, key_cert_sign=True, crl_sign=True, **usage),
                critical=True,
            )
        certificate = builder.sign(keys["ca"], hashes.SHA256())
        (folder / f"{who}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        (folder / f"{who}.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
    return folder


def ssl_config(pki, path, verify):
    def text(name):
        return json.dumps((pki / name).read_text())

    lines = [f"server_key: {text('server.key')}", f"server_cert: {text('server.pem')}"]
    if verify:
        lines += [f"custom_ca: {text('ca.pem')}", "client_verify: true"]
    path.write_text("\n".join(lines))
    return path


def test_tls_and_mutual_tls_on_both_ports(pick, pki, tmp_path):
    grpc_config = ssl_config(pki, tmp_path / "grpc.config", verify=True)
    rest_config = ssl_config(pki, tmp_path / "rest.config", verify=True)
    with ServerProcess(
        tmp_path / "server", f"--model_base_path={pick('affine', 1)}", "--model_name=m",
        f"--ssl_config_file={grpc_config}", f"--rest_api_ssl_config_file={rest_config}",
    ) as server:  # fmt: skip
        target = f"localhost:{server.ports['grpc']}"
        mine = Tls(pki / "ca.pem", pki / "client.key", pki / "client.pem")
        with Client(target, Options(tls=mine, timeout_s=PATIENCE_S)) as client:
            assert client.predict("m", {"x": [2.0]}).outputs["y"].tolist() == [3.0]
        for stranger in (Tls(pki / "ca.pem"), None):
            with (
                Client(target, Options(tls=stranger, timeout_s=PATIENCE_S, retry=ONCE)) as client,
                pytest.raises(ClientError) as error,
            ):
                client.predict("m", {"x": [2.0]})
            assert error.value.code is grpc.StatusCode.UNAVAILABLE

        context = ssl.create_default_context(cafile=str(pki / "ca.pem"))
        with pytest.raises((ssl.SSLError, ConnectionError)):
            _https(server, context)
        context.load_cert_chain(pki / "client.pem", pki / "client.key")
        assert _https(server, context) == 200


def _https(server, context):
    connection = http.client.HTTPSConnection(
        "localhost", server.ports["rest"], context=context, timeout=PATIENCE_S
    )
    try:
        connection.request("GET", "/v1/models/m")
        return connection.getresponse().status
    finally:
        connection.close()


def test_an_ssl_config_of_file_names_is_a_start_error(tmp_path):
    from serving.config_files import read_ssl

    file = tmp_path / "ssl.config"
    file.write_text('server_key: "/etc/key.pem" server_cert: "/etc/cert.pem"')
    with pytest.raises(ServingError, match="must hold PEM text"):
        read_ssl(file)


@pytest.mark.parametrize("flag", ["ssl_config_file", "rest_api_ssl_config_file"])
def test_a_key_that_does_not_fit_is_named(pick, tmp_path, pki, flag):
    file = tmp_path / "ssl.config"
    config = f"server_key: {json.dumps((pki / 'client.key').read_text())} "
    file.write_text(config + f"server_cert: {json.dumps((pki / 'server.pem').read_text())}")
    with ServerProcess(
        tmp_path / "server", f"--model_base_path={pick('affine', 1)}", f"--{flag}={file}", wait=False
    ) as server:
        assert server.process.wait(PATIENCE_S) == 2
        assert f"{flag}: server_key and server_cert do not fit" in server.log()


def test_a_bearer_token_guards_both_ports(pick, tmp_path, refused):
    (tmp_path / "token").write_text("secret\n")
    with ServerProcess(
        tmp_path / "server", f"--model_base_path={pick('affine', 1)}", "--model_name=m",
        f"--auth_token_file={tmp_path / 'token'}",
    ) as server:  # fmt: skip
        for token, code in (
            (None, grpc.StatusCode.UNAUTHENTICATED),
            ("wrong", grpc.StatusCode.UNAUTHENTICATED),
            ("secret", None),
        ):
            with Client(server.target, Options(token=token, timeout_s=PATIENCE_S)) as client:
                if code is None:
                    assert client.predict("m", {"x": [2.0]}).version == 1
                    assert [one.version for one in client.status("m")] == [1]
                else:
                    with pytest.raises(ClientError) as error:
                        client.predict("m", {"x": [2.0]})
                    assert error.value.code is code
        with refused() as it:
            server.reload()
        assert it.code is grpc.StatusCode.UNAUTHENTICATED
        body = '{"inputs": [2.0]}'
        assert server.http("POST", "/v1/models/m:predict", body)[0] == 401
        assert server.http("GET", "/v1/models/m")[0] == 401
        assert server.http("POST", "/v1/models/m:predict", body, {"Authorization": "Bearer secret"})[0] == 200
        assert server.http("GET", "/readyz")[0] == 200


def test_requests_beyond_the_limit_are_unavailable_at_once_with_retry_information(pick, tmp_path, refused):
    monitoring = tmp_path / "monitoring.config"
    monitoring.write_text("prometheus_config { enable: true }")
    with ServerProcess(
        tmp_path / "server", f"--model_base_path={pick('slow', 1)}", "--model_name=m", "--max_inflight_requests=2",
        f"--monitoring_config_file={monitoring}",
    ) as server, ThreadPoolExecutor(2) as pool:  # fmt: skip
        rounds = np.array([30_000], np.int32)
        waiting = [pool.submit(server.predict, "m", {"x": [7.0], "rounds": rounds}) for _ in range(2)]
        until(lambda: server.metrics()["melanosizer_serving_inflight_requests{}"] == 2)
        with refused() as it:
            server.predict("m", {"x": [7.0], "rounds": np.array([1], np.int32)})
        assert (it.code, it.text) == (
            grpc.StatusCode.UNAVAILABLE,
            "2 requests are under way, the most allowed at once",
        )
        assert int(it.trailing["grpc-retry-pushback-ms"]) > 0
        status, text, headers = server.http(
            "POST", "/v1/models/m:predict", '{"inputs": {"x": [1.0], "rounds": [1]}}'
        )
        assert status == 503
        assert "error" in json.loads(text)
        assert int(headers["retry-after"]) >= 1
        assert all(one.result().outputs["y"].float_val[0] == 7.0 for one in waiting)


def test_the_rate_limiter_gives_each_caller_its_own_bucket():
    limiter = RateLimiter(per_second=10, burst=2)
    assert [limiter.take("a", 0.0) for _ in range(2)] == [0, 0]
    assert limiter.take("a", 0.0) == pytest.approx(0.1)
    assert limiter.take("b", 0.0) == 0
    assert limiter.take("a", 0.11) == 0
    for i in range(20_000):
        limiter.take(str(i), 1.0)
    assert len(limiter._buckets) <= 10_000


def test_a_caller_over_its_rate_is_told_when_to_come_back(pick, tmp_path, refused):
    with ServerProcess(
        tmp_path / "server", f"--model_base_path={pick('affine', 1)}", "--model_name=m",
        "--rate_limit_per_second=0.01", "--rate_limit_burst=2",
    ) as server:  # fmt: skip
        for _ in range(2):
            server.predict("m", {"x": [1.0]})
        with refused() as it:
            server.predict("m", {"x": [1.0]})
        assert it.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert float(it.trailing["retry-after"]) > 1


def test_canary_and_shadow(pick, tmp_path):
    config, traffic, monitoring = (
        tmp_path / "models.config",
        tmp_path / "traffic.json",
        tmp_path / "monitoring.config",
    )
    monitoring.write_text("prometheus_config { enable: true }")
    config.write_text(
        str(
            model_config(
                {
                    "name": "m",
                    "base_path": pick("half", 1, 2),
                    "versions": [1, 2],
                    "labels": {"stable": 1, "canary": 2},
                }
            )
        )
    )
    traffic.write_text(
        json.dumps(
            {
                "models": {
                    "m": {
                        "default": "stable",
                        "canary": {"label": "canary", "weight": 0.5},
                        "shadow": {"label": "canary"},
                    }
                }
            }
        )
    )
    with ServerProcess(
        tmp_path / "server", f"--model_config_file={config}", "--allow_version_labels_for_unavailable_models",
        f"--traffic_config_file={traffic}", f"--monitoring_config_file={monitoring}",
    ) as server:  # fmt: skip
        server.await_state("m", 1, "AVAILABLE")
        versions = [server.predict("m", {"x": [[2.0]]}).model_spec.version.value for _ in range(60)]
        assert set(versions) == {1, 2}
        assert 10 < versions.count(2) < 50
        # Who names a version gets it.
        assert {
            server.predict("m", {"x": [[2.0]]}, version=1).model_spec.version.value for _ in range(10)
        } == {1}
        key = "melanosizer_serving_shadow_comparisons"

        def compared() -> dict[str, float]:
            metrics = server.metrics()
            return {result: metrics.get(f'{key}{{model_name="m",result="{result}"}}', 0)
                    for result in ("agrees", "differs", "same_version", "failed", "dropped")}  # fmt: skip

        until(lambda: sum(compared().values()) == 60)
        counts = compared()
        # The shadow adds another constant, so each of its answers differs and none was returned.
        assert counts["differs"] == versions.count(1)
        assert counts["same_version"] == versions.count(2)


def test_a_traffic_file_that_cannot_be_is_told_why(tmp_path):
    file = tmp_path / "traffic.json"
    file.write_text('{"models": {"m": {"canary": {"label": "c", "weight": 2}}}}')
    with pytest.raises(ServingError, match=r"models\.m\.canary\.weight: .*less than or equal to 1"):
        read_traffic(file)
    with pytest.raises(ServingError, match="No such file"):
        read_traffic(tmp_path / "none.json")


def test_metrics_need_no_server():
    assert "process_resident_memory_bytes" in Metrics().page()

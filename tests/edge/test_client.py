"""The client's manners: deadlines, retries, several servers, plain errors, mutual TLS."""

from __future__ import annotations

import datetime
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from core.protos import prediction_service_pb2 as serving
from edge.asking.client import AskError, ModelServerClient
from edge.asking.status import RULES
from edge.camera.sample import draw
from edge.config import ServerSection
from edge.kiosk.views import texts
from edge.queue.examination import new_id
from tests.support.edge_doubles import ModelServer, Network, answer

NOW = datetime.datetime.now(datetime.UTC)  # TLS itself looks at the real clock
Ask = Callable[..., ModelServerClient]


@pytest.fixture
def connect() -> Iterator[Ask]:
    made = []

    def make(*addresses: str, now: Callable[[], float] = NOW.timestamp, **changes: Any) -> ModelServerClient:
        section = ServerSection(
            addresses=addresses, **{"attempts": 2, "deadline_s": 60.0, "backoff_s": 0.01, **changes}
        )
        made.append(ModelServerClient(section, "ward-3", now=now))
        return made[-1]

    yield make
    for one in made:
        one.close()


def abort(code: grpc.StatusCode, text: str) -> Callable[..., Any]:
    def reply(_jpeg: bytes, context: grpc.ServicerContext) -> None:
        context.abort(code, text)

    return reply


def test_an_answer_is_read_and_the_request_is_named(model_server: ModelServer, connect: Ask) -> None:
    model_server.reply = lambda _jpeg, _context: answer(0.25, threshold=0.5, zone="review", odd=0.75)
    examination = new_id()
    found = connect(model_server.address).ask(b"jpeg", examination)
    assert (found.probability, found.decision, found.zone, found.out_of_distribution) == (
        0.25,
        0,
        "review",
        0.75,
    )
    assert (found.model_version, found.origin, found.preliminary) == ("1795300000", "server", False)
    assert [(one[0], one[2]) for one in model_server.deliveries] == [(examination, "ward-3")]


def test_a_dead_server_is_passed_over(model_server: ModelServer, connect: Ask, nobody: str) -> None:
    assert connect(nobody, model_server.address).ask(b"jpeg", new_id()).model_version == "1795300000"


def test_no_server_at_all_is_said_after_the_tries(connect: Ask, nobody: str) -> None:
    with pytest.raises(AskError, match="UNAVAILABLE"):
        connect(nobody).ask(b"jpeg", new_id())


def test_a_stumbling_server_is_asked_again_with_the_same_id(model_server: ModelServer, connect: Ask) -> None:
    calls = []

    def reply(jpeg: bytes, context: grpc.ServicerContext) -> serving.PredictResponse:
        calls.append(jpeg)
        if len(calls) == 1:
            context.abort(grpc.StatusCode.UNAVAILABLE, "batching queue is full")
        return answer(0.1)

    model_server.reply = reply
    examination = new_id()
    assert connect(model_server.address).ask(b"jpeg", examination).probability == pytest.approx(0.1)
    assert [one[0] for one in model_server.deliveries] == [examination, examination]
    assert model_server.ids() == [examination]


def test_a_silent_server_meets_the_deadline(model_server: ModelServer, connect: Ask) -> None:
    release = threading.Event()

    def reply(_jpeg: bytes, _context: grpc.ServicerContext) -> serving.PredictResponse:
        release.wait(120)
        return answer(0.1)

    model_server.reply = reply
    try:
        with pytest.raises(AskError, match="DEADLINE_EXCEEDED"):
            connect(model_server.address, deadline_s=0.2, attempts=1).ask(b"jpeg", new_id())
    finally:
        release.set()


def test_a_network_that_comes_back_is_used_again(
    model_server: ModelServer, network: Network, connect: Ask
) -> None:
    client = connect(network.address, attempts=1)
    client.ask(b"jpeg", new_id())
    network.cut()
    with pytest.raises(AskError):
        client.ask(b"jpeg", new_id())
    network.mend()
    patient = connect(network.address, attempts=10, backoff_s=0.5)
    assert patient.ask(b"jpeg", new_id()).origin == "server"


def test_every_status_code_has_a_row_and_every_row_its_words() -> None:
    assert set(RULES) == set(grpc.StatusCode) - {grpc.StatusCode.OK}
    for rule in RULES.values():
        for language in ("en", "de"):
            assert {f"{rule.notice}.{part}" for part in ("title", "text", "way_back")} <= set(texts(language))


@pytest.mark.parametrize("code", sorted(RULES, key=lambda code: code.name))
def test_status_codes_mean_what_the_table_says(
    model_server: ModelServer, connect: Ask, code: grpc.StatusCode
) -> None:
    model_server.reply = abort(code, "the server's own words")
    with pytest.raises(AskError) as caught:
        connect(model_server.address, backoff_s=0.001).ask(b"jpeg", new_id())
    # A server that cancels is one that stops.
    meant = grpc.StatusCode.UNAVAILABLE if code is grpc.StatusCode.CANCELLED else code
    assert "the server's own words" in str(caught.value)
    assert meant.name in str(caught.value)
    assert caught.value.rule == RULES[meant]
    asked = 2 if RULES[meant].handling == "retry_now" else 1
    assert len(model_server.deliveries) == asked


def test_an_unknown_label_is_the_servers_trouble_not_the_pictures(
    model_server: ModelServer, connect: Ask
) -> None:
    model_server.reply = abort(
        grpc.StatusCode.INVALID_ARGUMENT, "Unrecognized servable version label: canary"
    )
    with pytest.raises(AskError) as caught:
        connect(model_server.address, version_label="canary").ask(b"jpeg", new_id())
    assert caught.value.rule.handling == "device"


def garbage() -> dict[str, serving.PredictResponse]:
    made: dict[str, serving.PredictResponse] = {"empty": serving.PredictResponse()}
    for name, fill in {
        "nan": lambda reply: reply.outputs["probability"].float_val.__setitem__(0, float("nan")),
        "too large": lambda reply: reply.outputs["probability"].float_val.__setitem__(0, 1.5),
        "two values": lambda reply: reply.outputs["probability"].float_val.append(0.1),
        "no value": lambda reply: reply.outputs["probability"].ClearField("float_val"),
        "wrong type": lambda reply: reply.outputs["probability"].__setattr__("dtype", 7),
        "zone": lambda reply: reply.outputs["zone"].string_val.__setitem__(0, b"maybe"),
        "decision": lambda reply: reply.outputs["decision"].int64_val.__setitem__(0, 2),
        "half a float": lambda reply: reply.outputs["probability"].__setattr__("tensor_content", b"\1\2\3"),
        "version": lambda reply: (
            reply.model_spec.ClearField("version"),
            reply.outputs["model_version"].string_val.__setitem__(0, b"\0" * 9),
        ),
    }.items():
        made[name] = answer(0.5)
        fill(made[name])
    return made


@pytest.mark.parametrize("name", sorted(garbage()))
def test_garbage_is_never_shown_as_an_answer(model_server: ModelServer, connect: Ask, name: str) -> None:
    model_server.reply = lambda _jpeg, _context: garbage()[name]
    with pytest.raises(AskError) as caught:
        connect(model_server.address).ask(b"jpeg", new_id())
    assert caught.value.rule.notice == "server_garbage"


def test_a_server_that_speaks_something_else_is_no_crash(connect: Ask) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def babble() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(os.urandom(4096))

        thread = threading.Thread(target=babble, daemon=True)
        thread.start()
        with pytest.raises(AskError):
            connect(f"127.0.0.1:{listener.getsockname()[1]}", attempts=1, deadline_s=1.0).ask(
                b"jpeg", new_id()
            )


def test_health_tells_version_or_trouble(model_server: ModelServer, connect: Ask, nobody: str) -> None:
    good, bad = connect(model_server.address, nobody).health()
    assert (good.version, good.trouble) == ("1795300000", "")
    assert bad.version == ""
    assert "UNAVAILABLE" in bad.trouble or "DEADLINE_EXCEEDED" in bad.trouble


def test_a_half_open_connection_is_left_after_one_deadline(
    model_server: ModelServer, network: Network, connect: Ask
) -> None:
    # More tries than two are for a machine that has something else to do for a second.
    client = connect(network.address, deadline_s=1.0, attempts=10)
    client.ask(b"jpeg", new_id())
    network.swallow()
    # The first try meets the deadline; the next goes over a new connection and is answered.
    assert client.ask(b"jpeg", new_id()).origin == "server"


def test_the_zones_limits_are_read_when_the_model_tells_them(model_server: ModelServer, connect: Ask) -> None:
    client = connect(model_server.address)
    found = client.ask(b"jpeg", new_id())
    assert (found.low_below, found.refer_from) == (None, None)
    model_server.reply = lambda _jpeg, _context: answer(0.2, limits=(0.125, 0.5))
    found = client.ask(b"jpeg", new_id())
    assert (found.low_below, found.refer_from) == (0.125, 0.5)


def test_a_model_without_explain_is_not_asked_again(model_server: ModelServer, connect: Ask) -> None:
    client = connect(model_server.address)
    assert client.explain(b"jpeg", new_id(), "7") is None
    model_server.explain = b"\xff\xd8\xff overlay"
    assert client.explain(b"jpeg", new_id(), "7") is None
    assert client.explain(b"jpeg", new_id(), "8") == b"\xff\xd8\xff overlay"


@pytest.mark.parametrize("code", sorted(RULES, key=lambda code: code.name))
def test_one_failed_explain_says_nothing_of_the_next(
    model_server: ModelServer, connect: Ask, code: grpc.StatusCode
) -> None:
    client = connect(model_server.address)
    model_server.explain = b"\xff\xd8\xff overlay"
    model_server.explain_fails = (code, "oops")
    if code in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.INVALID_ARGUMENT):
        assert client.explain(b"jpeg", new_id(), "7") is None
    else:
        with pytest.raises(AskError, match="oops"):
            client.explain(b"jpeg", new_id(), "7")
    model_server.explain_fails = None
    given_up = code in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.INVALID_ARGUMENT)
    assert client.explain(b"jpeg", new_id(), "7") == (None if given_up else b"\xff\xd8\xff overlay")


class Authority:
    """A certificate authority for one test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        certificate = self._sign(self._name, self._key.public_key(), NOW, 3650, authority=True)
        self.file = folder / "ca.pem"
        self.file.write_bytes(certificate)

    def issue(self, name: str, *, since: datetime.datetime = NOW, days: float = 30) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate, private = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        certificate.write_bytes(self._sign(subject, key.public_key(), since, days))
        private.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return certificate, private

    def _sign(
        self, name: x509.Name, key: Any, since: datetime.datetime, days: float, *, authority: bool = False
    ) -> bytes:
        import ipaddress

        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(since - datetime.timedelta(days=60))
            .not_valid_after(since + datetime.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
                critical=False,
            )
        )
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def strict_server(authority: Authority) -> Iterator[ModelServer]:
    """A server that lets in only whom the authority knows."""
    certificate, key = authority.issue("server")
    credentials = grpc.ssl_server_credentials(
        [(key.read_bytes(), certificate.read_bytes())], authority.file.read_bytes(), require_client_auth=True
    )
    server = ModelServer(credentials=credentials)
    yield server
    server.close()


def test_mutual_tls(strict_server: ModelServer, authority: Authority, connect: Ask) -> None:
    certificate, key = authority.issue("ward-3")
    files = {"ca_file": authority.file, "certificate_file": certificate, "key_file": key}
    assert connect(strict_server.address, **files).ask(b"jpeg", new_id()).origin == "server"
    with pytest.raises(AskError):
        connect(strict_server.address, ca_file=authority.file, attempts=1).ask(b"jpeg", new_id())


def test_an_expired_certificate_is_named_and_a_new_one_is_taken_without_a_restart(
    strict_server: ModelServer, authority: Authority, connect: Ask
) -> None:
    certificate, key = authority.issue("ward-3", days=-1)
    client = connect(
        strict_server.address, ca_file=authority.file, certificate_file=certificate, key_file=key
    )
    with pytest.raises(AskError, match=r"expired on \d{4}-\d\d-\d\d; put a new one and its key in place"):
        client.ask(b"jpeg", new_id())
    authority.issue("ward-3")
    assert client.ask(b"jpeg", new_id()).origin == "server"


def test_a_certificate_from_the_future_asks_about_the_clock(authority: Authority, connect: Ask) -> None:
    certificate, key = authority.issue("ward-3", since=NOW + datetime.timedelta(days=365))
    client = connect("127.0.0.1:9", ca_file=authority.file, certificate_file=certificate, key_file=key)
    with pytest.raises(AskError, match="is the clock right"):
        client.ask(b"jpeg", new_id())


def test_a_foreign_server_is_not_trusted(strict_server: ModelServer, tmp_path: Path, connect: Ask) -> None:
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other")
    certificate, key = other.issue("ward-3")
    client = connect(
        strict_server.address, ca_file=other.file, certificate_file=certificate, key_file=key, attempts=1
    )
    with pytest.raises(AskError):
        client.ask(draw(64, 64), new_id())

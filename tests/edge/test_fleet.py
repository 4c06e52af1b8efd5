"""The gateway learns of every examination once, in order; heartbeats and records fit their schemas."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from core.records.heartbeat import Disk
from edge.config import Config, load
from edge.notices import Notice, Notices
from edge.queue.encryption import KeyFileError
from edge.queue.examination import Answer, Examination
from edge.queue.queue import Queue
from edge.reporting.clock import Clock
from edge.reporting.enroll import enroll, ensure_key
from edge.reporting.gateway import Gateway, GatewayRefusesError, GatewayUnreachableError
from edge.reporting.records import examination_record, heartbeat
from edge.reporting.reporter import FleetReporter
from tests.support.edge_doubles import FleetGateway, Network

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"
ANSWER = Answer(0.2, 0, 0.3, "review", 0.0, "7")
Capture = Callable[..., Examination]


def schema(name: str) -> jsonschema.Draft202012Validator:
    document = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(document)
    return jsonschema.Draft202012Validator(document)


def sign_of_life(**changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "camera": "folder",
        "disk": Disk(free_bytes=1),
        "queue": {"waiting": 1, "set_aside": 1, "unreported": 1, "total": 1},
        "now": 1_795_300_100.0,
        "versions": {"model": "7"},
        "notices": [Notice("server_unreachable", "x" * 900, 1_795_300_050.0)],
    }
    return heartbeat("ward-3", **{**values, **changes})


def config(tmp_path: Path, url: str) -> Config:
    gateway = {"url": url, "timeout_s": 60, "heartbeat_s": 3600}
    return load(None, {"device": {"state_dir": tmp_path, "id": "ward-3"}, "gateway": gateway})


@pytest.fixture
def net(gateway_double: FleetGateway) -> Iterator[Network]:
    network = Network(gateway_double.port)
    yield network
    network.close()


@pytest.fixture
def gateway(tmp_path: Path, net: Network) -> Iterator[Gateway]:
    made = Gateway(config(tmp_path, f"http://{net.address}"), now=time.time)
    yield made
    made.close()


@pytest.fixture
def fleet(queue: Queue, gateway: Gateway, tmp_path: Path) -> Iterator[FleetReporter]:
    stop, section = threading.Event(), config(tmp_path, "http://127.0.0.1")
    made = FleetReporter(
        queue, gateway, Notices(), section, heartbeat=sign_of_life, stop=stop, longest_pause_s=0.1
    )
    yield made
    stop.set()
    made.join()


def test_reports_arrive_once_and_in_order_through_a_cut(
    fleet: FleetReporter, queue: Queue, take: Capture, gateway_double: FleetGateway, net: Network
) -> None:
    taken = [take() for _ in range(6)]
    for one in taken:
        queue.settle(one.id, "answered", ANSWER)
    net.cut()
    fleet.start()
    net.mend()
    with gateway_double.arrived:
        assert gateway_double.arrived.wait_for(lambda: len(gateway_double.records) == 6, timeout=120)
    assert list(gateway_double.records) == [one.id for one in taken]
    assert len(gateway_double.heartbeats) >= 0
    for record in gateway_double.records.values():
        schema("examination").validate(record)


def test_a_report_whose_receipt_was_lost_is_one_record(
    fleet: FleetReporter, queue: Queue, take: Capture, gateway: Gateway, gateway_double: FleetGateway
) -> None:
    one = take()
    queue.settle(one.id, "answered", ANSWER)
    settled = queue.get(one.id)
    assert settled is not None
    gateway.put_examination(examination_record(settled, "ward-3"))  # and then the power went
    assert fleet.report() is True
    assert (len(gateway_double.records), gateway_double.repeats) == (1, 1)
    assert fleet.report() is False


def test_a_refused_heartbeat_does_not_keep_reports_back(
    fleet: FleetReporter, queue: Queue, take: Capture, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = take()
    queue.settle(one.id, "answered", ANSWER)

    def refuse(_record: dict[str, Any]) -> None:
        raise GatewayRefusesError("404 unknown device")

    monkeypatch.setattr(gateway, "post_heartbeat", refuse)
    with pytest.raises(GatewayRefusesError):
        fleet.report()
    found = queue.get(one.id)
    assert found is not None
    assert found.reported


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, GatewayRefusesError),
        (422, GatewayRefusesError),
        (503, GatewayUnreachableError),
        (429, GatewayUnreachableError),
    ],
)
def test_status_codes_mean_what_they_say(
    gateway: Gateway, gateway_double: FleetGateway, status: int, error: type[Exception]
) -> None:
    gateway_double.refuse = status
    with pytest.raises(error, match=str(status)):
        gateway.post_heartbeat(sign_of_life())


def test_heartbeats_fit_their_schema(take: Capture) -> None:
    for changes in (
        {},
        {"last_error": Notice("camera_lost", "cable", 1.0)},
        {"versions": {"on_device_model": "7"}, "clock_trusted": False},
    ):
        schema("heartbeat").validate(sign_of_life(**changes))
    with pytest.raises(jsonschema.ValidationError):
        schema("heartbeat").validate({**sign_of_life(), "patient": "x"})


def test_records_of_every_state_fit_their_schema(queue: Queue, take: Capture) -> None:
    for state, answer in (("answered", ANSWER), ("refused", None), ("damaged", None)):
        one = take(
            quality={"focus": 1.5, "luminance": 100.0, "glare": 0.0, "lesion_share": None, "advice": []}
        )
        queue.settle(one.id, state, answer, trouble="why")  # type: ignore[arg-type]
        found = queue.get(one.id)
        assert found is not None
        schema("examination").validate(examination_record(found, "ward-3"))
    waiting = replace(one, answer=replace(ANSWER, origin="device"), state="answered")
    with pytest.raises(jsonschema.ValidationError):
        schema("examination").validate(examination_record(waiting, "ward-3"))


def test_a_refusal_discards_a_preliminary_answer(queue: Queue, take: Capture) -> None:
    one = take()
    queue.note(one.id, answer=replace(ANSWER, origin="device"))
    queue.settle(one.id, "refused", trouble="no")
    found = queue.get(one.id)
    assert found is not None
    assert found.answer is None


def test_enrolling_twice_renews_the_token_and_keeps_the_key(
    tmp_path: Path, gateway_double: FleetGateway
) -> None:
    section = config(tmp_path, gateway_double.url)
    gateway_double.enrolment = {"token": "token-1", "certificate": "PEM"}
    first = list(enroll(section, "1234"))
    key = (tmp_path / "storage.key").read_text()
    gateway_double.enrolment = {"token": "token-2"}
    list(enroll(section, "5678"))
    assert (tmp_path / "gateway.token").read_text() == "token-2"
    assert (tmp_path / "storage.key").read_text() == key
    assert (tmp_path / "device.pem").read_text() == "PEM"
    assert any("keep a copy" in step for step in first)
    assert [one["code"] for one in gateway_double.enrolments] == ["1234", "5678"]
    assert "BEGIN CERTIFICATE REQUEST" in gateway_double.enrolments[0]["certificate_request"]
    assert "Authorization" not in gateway_double.headers[0]
    for name in ("storage.key", "gateway.token", "device.key"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    gateway = Gateway(section, now=time.time)
    gateway.post_heartbeat(sign_of_life())
    gateway.close()
    assert gateway_double.headers[-1]["Authorization"] == "Bearer token-2"


def test_without_a_gateway_the_request_is_left_for_signing(tmp_path: Path) -> None:
    steps = list(enroll(config(tmp_path, ""), ""))
    assert (tmp_path / "device.csr").read_text().startswith("-----BEGIN CERTIFICATE REQUEST")
    assert "the fleet was not told" in steps[-1]


def test_a_lost_key_is_not_replaced_over_sealed_data(tmp_path: Path) -> None:
    section = config(tmp_path, "")
    ensure_key(section)
    (tmp_path / "key.check").write_bytes(b"sealed")
    (tmp_path / "storage.key").unlink()
    with pytest.raises(KeyFileError, match="put it back"):
        ensure_key(section)


def test_the_gateways_time_is_a_witness(queue: Queue, tmp_path: Path, gateway_double: FleetGateway) -> None:
    now = [1_795_300_000.0]
    clock = Clock(queue, now=lambda: now[0])
    gateway = Gateway(config(tmp_path, gateway_double.url), now=clock.now, witness=clock.compare)
    gateway_double.date = "Sat, 21 Nov 2026 12:00:00 GMT"
    gateway.post_heartbeat(sign_of_life())
    assert "differs from the gateway's by" in clock.trouble()
    now[0] = 1_795_262_400.0
    gateway.post_heartbeat(sign_of_life())
    assert clock.trouble() == ""
    gateway.close()


@pytest.mark.parametrize("kind", ["html", "json"])
def test_a_sign_in_page_that_says_200_is_not_the_gateway(
    fleet: FleetReporter, queue: Queue, take: Capture, gateway_double: FleetGateway, kind: str
) -> None:
    one = take()
    queue.settle(one.id, "answered", ANSWER)
    gateway_double.page = b"<html>Please sign in</html>" if kind == "html" else b'{"portal": "guest"}'
    with pytest.raises(GatewayUnreachableError, match="sign-in page"):
        fleet.report()
    found = queue.get(one.id)
    assert found is not None
    assert not found.reported
    gateway_double.page = None
    assert fleet.report() is True
    assert list(gateway_double.records) == [one.id]

"""Rules find things, people are told, runs are started."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from dashboard import clock
from dashboard.alerts.delivery import ATTEMPTS
from dashboard.alerts.kinds import FIRST_RULES, KINDS
from dashboard.database.tables import Alert, Delivery, Device, Prediction, Rule
from tests.dashboard.rig import Inbox


def only(running: Any, kind: str, **change: Any) -> Any:
    """Leave one rule, changed; look once; what is open."""
    database = running.services.database
    with database.write() as session:
        session.execute(delete(Rule).where(Rule.kind != kind))
        # The example's fleet was last heard of when the first of all tests began, which may be an hour ago.
        session.execute(update(Device).where(Device.id != "pi-005").values(last_seen=clock.now()))
        session.execute(update(Rule).values(**({"margin": 0, "wait_minutes": 0} | change)))
    return look(running)


def look(running: Any) -> list[Alert]:
    running.services.alerts.turn()
    with running.services.database.read() as session:
        return list(session.scalars(select(Alert).where(Alert.resolved.is_(None)).order_by(Alert.id)))


def test_a_silent_device_alerts_once_and_resolves_when_it_speaks(filled: Any) -> None:
    assert [alert.subject for alert in only(filled, "device_silent")] == ["pi-005"]
    assert len(look(filled)) == 1
    with filled.services.database.write() as session:
        session.execute(update(Device).values(last_seen=clock.now()))
    assert look(filled) == []
    history = filled.signed_in("viewer").json("/alerts")["history"]
    assert [alert["subject"] for alert in history] == ["pi-005"]


@pytest.mark.parametrize(
    ("kind", "limit", "subject"),
    [
        ("device_hot", 1.0, "pi-000"),
        ("device_queue", -1.0, "pi-000"),
        ("score_drift", -1.0, " probability"),
        ("image_drift", 0.25, " brightness"),
        ("field_sensitivity", 1.1, ""),
    ],
)
def test_each_kind_finds_what_it_looks_for(build: Any, kind: str, limit: float, subject: str) -> None:
    running = build()
    if kind == "field_sensitivity":
        stable = running.services.registry.channels().stable
        with running.services.database.write() as session:
            session.execute(update(Prediction).where(Prediction.version == stable).values(outcome="melanoma"))
    found = only(running, kind, limit=limit, window_minutes=60 * 24 * 60)
    assert any(subject in alert.subject for alert in found), [alert.subject for alert in found]


def test_a_refused_run_alerts_until_a_better_one(build: Any, workspace: Path) -> None:
    running = build()
    newest = workspace / "runs" / running.services.runs.ids()[0] / "run.json"
    document = newest.read_text()
    newest.write_text(json.dumps(json.loads(document) | {"status": "refused", "reason": "auc is 0.5"}))
    assert "auc is 0.5" in only(running, "run_failed")[0].message
    newest.write_text(document)
    assert look(running) == []


def test_a_study_s_rung_after_a_refused_run_does_not_end_its_alert(build: Any, workspace: Path) -> None:
    running = build()
    newest = workspace / "runs" / running.services.runs.ids()[0]
    document = json.loads((newest / "run.json").read_text())
    (newest / "run.json").write_text(json.dumps(document | {"status": "refused", "reason": "auc is 0.5"}))
    rung = workspace / "runs" / "99990101-000000-ladder-01-base"
    rung.mkdir()
    study = {"run_id": rung.name, "status": "unchanged", "preset": "studies/ladder/01-base"}
    (rung / "run.json").write_text(json.dumps(document | study))
    assert running.services.runs.ids()[0] == rung.name
    assert "auc is 0.5" in only(running, "run_failed")[0].message


def test_every_kind_has_a_first_rule_and_a_rule_can_be_edited(build: Any) -> None:
    assert {rule[0] for rule in FIRST_RULES} == set(KINDS)
    running = build()
    approver = running.signed_in("approver")
    rule = approver.json("/alerts")["rules"][1]
    form = {"name": rule["name"], "kind": rule["kind"], "limit": "70.5", "severity": "critical"}
    assert approver.post(f"/alerts/rules/{rule['id']}", form).status_code == 303
    after = approver.json("/alerts")["rules"][1]
    assert (after["limit"], after["severity"], after["enabled"]) == (70.5, "critical", False)
    assert approver.post("/alerts/rules", form).status_code == 409
    assert approver.post("/alerts/rules", form | {"name": "other", "kind": "nonsense"}).status_code == 422
    assert approver.post("/alerts/rules", form | {"name": "other", "action": "retrain"}).status_code == 422
    assert approver.post("/alerts/rules", form | {"name": "other", "limit": "nan"}).status_code == 422


def test_a_webhook_is_signed_and_tried_again_until_it_is_taken(
    build: Any, inbox: Any, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text("shared\n")
    inbox.answers["*"] = (500, b"")
    running = build(webhook_url=f"{inbox.url}/hook", webhook_secret_file=tmp_path / "key")
    only(running, "device_silent")
    database = running.services.database
    with database.read() as session:
        row = session.scalars(select(Delivery)).one()
    assert (row.state, row.attempts) == ("waiting", 1)
    assert "500" in row.trouble
    assert row.due > clock.now() + 5 * clock.SECOND
    inbox.answers["*"] = (200, b"")
    with database.write() as session:
        session.execute(update(Delivery).values(due=0))
    look(running)
    path, headers, body = inbox.received[-1]
    assert path == "/hook"
    expected = hmac.new(b"shared", body, hashlib.sha256).hexdigest()
    assert headers["x-melanosizer-signature"] == f"sha256={expected}"
    assert json.loads(body)["subject"] == "pi-005"
    assert running.signed_in("viewer").json("/alerts")["open"][0]["deliveries"] == ["opened by webhook: sent"]


def test_a_receiver_that_stays_away_is_given_up(build: Any, inbox: Any) -> None:
    inbox.answers["*"] = (500, b"")
    running = build(webhook_url=inbox.url)
    only(running, "device_silent")
    for _ in range(ATTEMPTS + 2):
        with running.services.database.write() as session:
            session.execute(update(Delivery).values(due=0))
        look(running)
    assert len(inbox.received) == ATTEMPTS
    with running.services.database.read() as session:
        assert session.scalars(select(Delivery.state)).all() == ["failed"]


def test_mail_arrives(build: Any) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    mail: list[str] = []

    def post_office() -> None:
        connection, _ = listener.accept()
        with connection, connection.makefile("rw", newline="") as wire:
            reading = False

            def say(text: str) -> None:
                wire.write(text + "\r\n")
                wire.flush()

            say("220 here")
            for line in wire:
                text = line.rstrip("\r\n")
                if reading:
                    mail.append(text)
                    if text == ".":
                        reading = False
                        say("250 taken")
                elif text.upper() == "DATA":
                    reading = True
                    say("354 go on")
                elif text.upper() == "QUIT":
                    say("221 bye")
                    return
                else:
                    say("250 fine")

    thread = threading.Thread(target=post_office, daemon=True)
    thread.start()
    running = build(
        smtp_host="127.0.0.1", smtp_port=listener.getsockname()[1], email_to=("ward@clinic.example",)
    )
    only(running, "device_silent")
    thread.join(timeout=120)
    listener.close()
    text = "\n".join(mail)
    assert "To: ward@clinic.example" in text
    assert "pi-005 was last heard of" in text


def test_a_rule_starts_one_run_and_no_second(build: Any, tmp_path: Path) -> None:
    proof = tmp_path / "started"
    command = (sys.executable, "-c", f"open({str(proof)!r}, 'a').write('x')")
    running = build(retrain_command=command)
    found = only(running, "image_drift", action="retrain", window_minutes=60 * 24 * 60)
    process = running.services.alerts._training
    process.wait(timeout=300)
    assert proof.read_text() == "x"
    messages = [alert.message for alert in found]
    assert messages[0].endswith("a run was started")
    assert all("no run was started: the last one" in message for message in messages[1:])
    actions = running.signed_in("admin").json("/audit?action=retrain.start")
    assert actions["total"] == 1


def heat(running: Any, degrees: float, device: str = "pi-003") -> list[Alert]:
    with running.services.database.write() as session:
        session.execute(update(Device).values(temperature=40.0))
        session.execute(update(Device).where(Device.id == device).values(temperature=degrees))
    return look(running)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A clock that stands still, and moves forward by so many minutes."""
    now = [clock.now()]
    monkeypatch.setattr(clock, "now", lambda: now[0])

    def go(minutes: float) -> None:
        now[0] += int(minutes * clock.MINUTE)

    return go


def test_a_value_that_swings_around_its_limit_is_one_alert_and_one_end(
    build: Any, inbox: Inbox, later: Any
) -> None:
    running = build(webhook_url=inbox.url)
    only(running, "device_hot", limit=80.0, margin=3.0, wait_minutes=1.0)
    for degrees in (80.5, 79.6, 80.5, 79.6, 80.5, 79.6):  # 36 s of it, every 6 s
        heat(running, degrees)
        later(0.1)
    assert inbox.received == []  # it never lasted a minute
    heat(running, 81.0)
    later(1)
    assert [alert.value for alert in heat(running, 81.5)] == [81.5]
    for degrees in (79.6, 80.5, 78.0, 77.1):  # below the limit, and not better than it by the margin
        later(2)
        assert [alert.value for alert in heat(running, degrees)] == [degrees]
    assert len(heat(running, 76.0)) == 1  # good, and not for long enough
    later(1)
    assert heat(running, 76.0) == []
    assert [json.loads(body)["event"] for _, _, body in inbox.received] == ["opened", "resolved"]
    assert json.loads(inbox.received[1][2])["resolved"]


def test_a_rule_that_becomes_critical_says_so_once(build: Any, inbox: Inbox) -> None:
    running = build(webhook_url=inbox.url)
    only(running, "device_hot", limit=80.0, severity="warning")
    heat(running, 85.0)
    with running.services.database.write() as session:
        session.execute(update(Rule).values(severity="critical"))
    assert [alert.severity for alert in heat(running, 86.0)] == ["critical"]
    heat(running, 86.0)
    told = [json.loads(body) for _, _, body in inbox.received]
    assert [(one["event"], one["severity"]) for one in told] == [
        ("opened", "warning"),
        ("escalated", "critical"),
    ]


def test_a_snoozed_alert_is_quiet_until_its_time_is_over(build: Any, inbox: Inbox, later: Any) -> None:
    running = build(webhook_url=inbox.url, session_hours=700, session_idle_minutes=60_000)
    reviewer = running.signed_in("reviewer", "mira")
    only(running, "device_hot", limit=80.0)
    (alert,) = heat(running, 85.0)
    assert reviewer.post(f"/alerts/{alert.id}/snooze", {"hours": "4"}).status_code == 303
    assert reviewer.json("/alerts")["open"][0]["snoozed_by"] == "mira"
    heat(running, 40.0)
    later(60)
    heat(running, 85.0)  # over, and back again: still quiet
    assert len(inbox.received) == 1
    later(181)
    heat(running, 85.0)
    assert [json.loads(body)["event"] for _, _, body in inbox.received] == ["opened", "opened"]
    assert reviewer.post(f"/alerts/{alert.id}/snooze", {"hours": "1"}).status_code == 409


def test_a_deleted_rule_ends_its_alerts_and_frees_its_name(filled: Any) -> None:
    only(filled, "device_hot", limit=80.0)
    assert len(heat(filled, 85.0)) == 1
    approver = filled.signed_in("approver")
    (rule,) = approver.json("/alerts")["rules"]
    assert approver.post(f"/alerts/rules/{rule['id']}/delete").status_code == 303
    page = approver.json("/alerts")
    assert (page["open"], page["rules"]) == ([], [])
    assert page["history"][0]["subject"] == "pi-003"
    assert look(filled) == []
    again = {"name": rule["name"], "kind": "device_hot", "limit": "70", "enabled": "true"}
    assert approver.post("/alerts/rules", again).status_code == 303
    assert approver.post(f"/alerts/rules/{rule['id']}/delete").status_code == 404


def test_a_retired_device_is_deleted_with_its_tokens_and_its_answers_stay(filled: Any) -> None:
    admin = filled.signed_in("admin")
    token = filled.token("report", device="pi-003")
    answers = len(admin.json("/field/predictions?device=pi-003")["answers"])
    assert answers
    assert admin.post("/devices/pi-003/delete", {"confirm": "pi-004"}).status_code == 422
    assert (
        filled.signed_in("approver").post("/devices/pi-003/delete", {"confirm": "pi-003"}).status_code == 403
    )
    assert admin.post("/devices/pi-003/delete", {"confirm": "pi-003"}).status_code == 303
    assert admin.get("/devices/pi-003").status_code == 404
    beat = {"device_id": "pi-003", "sent_at": "2026-01-01T00:00:00Z"}
    assert filled.client.post("/api/v1/devices/pi-003/heartbeat", json=beat, headers=token).status_code == 401
    assert len(admin.json("/field/predictions?device=pi-003")["answers"]) == answers


def test_silent_devices_come_first_and_each_state_can_be_asked_for(filled: Any) -> None:
    viewer = filled.signed_in("viewer")
    page = viewer.json("/devices")
    ranks = [("silent", "troubled", "fine").index(one["state"]) for one in page["devices"]]
    assert ranks == sorted(ranks)
    assert sum(page["states"].values()) == page["total"] == len(page["devices"])
    silent = viewer.json("/devices?state=silent")
    assert {one["state"] for one in silent["devices"]} == {"silent"}
    assert silent["total"] == page["states"]["silent"]

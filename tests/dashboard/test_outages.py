"""What a person gets while the database is away, and that everything goes on by itself when it is back."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import time
from collections.abc import Iterator
from typing import Any

import pytest

from dashboard.database import connection

# Less than what work in the background waits, and than for ever; more than a busy machine adds to a second.
LONGEST_S = 25.0


def asked(visitor: Any, path: str, **data: str) -> tuple[Any, float]:
    begun = time.monotonic()
    answer = visitor.client.post(path, data=data) if data else visitor.get(path)
    return answer, time.monotonic() - begun


def recovered(visitor: Any, path: str) -> bool:
    """Whether the page comes back by itself; callers may be turned away for some seconds first."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if visitor.get(path).status_code == 200:
            return True
        time.sleep(0.2)
    return False


@pytest.fixture(autouse=True)
def quick_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an engine is made with stays as it is: no page waits longer for a new connection."""
    monkeypatch.setattr(connection, "CONNECT_S", 2)


@contextlib.contextmanager
def impatience() -> Iterator[None]:
    """While it holds, a database is waited for a second, not for several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection, "REPLY_S", 1.0)
        patch.setattr(connection, "LOCK_S", 1.0)
        yield


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers are not turned away after a failure: each one meets the outage itself."""
    monkeypatch.setattr(connection, "REST_S", 0.0)


@contextlib.contextmanager
def stopped(cluster: Any) -> Iterator[None]:
    cluster.signal(signal.SIGSTOP)
    try:
        with impatience():
            yield
    finally:
        cluster.signal(signal.SIGCONT)


@pytest.mark.usefixtures("at_once")
def test_a_postgresql_that_hangs_costs_a_page_and_no_more(build: Any, postgres: Any) -> None:
    running = build(database_url=postgres.copy())
    viewer = running.signed_in("viewer")
    assert viewer.get("/field").status_code == 200
    with stopped(postgres):
        for path in ("/field", "/devices", "/runs"):
            answer, seconds = asked(viewer, path)
            assert answer.status_code == 503
            assert "the database does not answer" in answer.text
            assert answer.headers["retry-after"] == "5"
            assert seconds < LONGEST_S
        assert viewer.client.get("/healthz").json() == {"status": "ok"}
        assert viewer.client.get("/readyz").status_code == 503
    assert viewer.get("/field").status_code == 200


@pytest.mark.usefixtures("at_once")
def test_a_postgresql_that_was_restarted_is_found_again(build: Any, postgres: Any) -> None:
    running = build(database_url=postgres.copy())
    viewer = running.signed_in("viewer")
    postgres.restart()
    assert viewer.get("/field").status_code == 200


def test_after_a_failure_callers_are_turned_away_at_once(build: Any, postgres: Any) -> None:
    running = build(database_url=postgres.copy())
    viewer = running.signed_in("viewer")
    with stopped(postgres):
        assert asked(viewer, "/field")[0].status_code == 503
        running.services.database._rests_until = time.monotonic() + 60
        with (
            pytest.raises(connection.DatabaseDownError, match="a moment ago"),
            running.services.database.read(),
        ):
            pass
    # A background thread that was waiting may put the rest off once more, as it may for everybody.
    running.services.database._rests_until = 0
    assert recovered(viewer, "/field")


def test_a_writer_that_holds_sqlite_stops_writing_and_not_reading(dash: Any) -> None:
    reviewer = dash.signed_in("reviewer")
    page = reviewer.get("/field/predictions/1")
    csrf = page.text.split('name="csrf" value="')[1][:64]
    holder = sqlite3.connect(dash.services.database.url.database, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    outcome = {"csrf": csrf, "outcome": "benign"}
    with impatience():
        answer, seconds = asked(reviewer, "/field/predictions/1/outcome", **outcome)
    assert answer.status_code == 503
    assert seconds < LONGEST_S
    assert reviewer.get("/field").status_code == 200
    holder.rollback()
    holder.close()
    assert reviewer.client.post("/field/predictions/1/outcome", data=outcome).status_code == 303


def test_a_session_is_known_though_its_last_use_cannot_be_noted(
    dash: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "LOCK_S", 300.0)
    viewer = dash.signed_in("viewer")
    with dash.services.database.write() as session:
        session.connection().exec_driver_sql("UPDATE sessions SET seen = seen - 120000")
    holder = sqlite3.connect(dash.services.database.url.database, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    answer, seconds = asked(viewer, "/models")
    holder.rollback()
    holder.close()
    assert answer.status_code == 200
    assert seconds < 200


def test_no_text_with_a_nul_comes_as_far_as_the_database(filled: Any) -> None:
    admin = filled.signed_in("admin")
    for path in ("/lineage?image=a%00b", "/devices?search=%00", "/runs/%00", "/audit?who=%00"):
        assert admin.get(path).status_code == 400, path
    assert admin.post("/devices/enrol", {"device_id": "pi\0"}).status_code == 422
    token = filled.token("report", device="pi-003")
    beat = {"device_id": "pi-003", "sent_at": "2026-01-01T00:00:00Z", "versions": {"software": "1\0"}}
    answer = filled.client.post("/api/v1/devices/pi-003/heartbeat", json=beat, headers=token)
    assert answer.status_code == 422


def test_head_answers_as_get_does_without_a_body(dash: Any) -> None:
    viewer = dash.signed_in("viewer")
    for path in ("/models", "/healthz", "/static/dashboard.css", "/nope"):
        got, head = viewer.get(path), viewer.client.head(path, headers={"accept": "text/html"})
        assert (head.status_code, head.content) == (got.status_code, b""), path
        assert head.headers["content-length"] == got.headers["content-length"], path

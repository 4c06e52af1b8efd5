"""People: the first administrator, passwords, roles, sessions."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from dashboard import clock
from dashboard.database.tables import Session, User
from dashboard.faults import FaultError
from dashboard.security import passwords
from dashboard.security.passwords import WeakPasswordError
from tests.dashboard.rig import PASSWORD, mark

REAL = passwords._HASHER


def test_the_first_start_makes_an_administrator_whose_link_works_once(build: Any) -> None:
    running = build()
    user = running.services.accounts.first()
    assert (user.name, user.role, user.password) == ("admin", "admin", None)
    token = running.services.sessions.link(user.id)
    visitor = running.visitor()
    for _ in range(2):  # a preview of the link uses nothing up
        page = visitor.get("/sign-in/link", params={"token": token})
    answer = visitor.client.post("/sign-in/link", data={"token": token, "csrf": mark(page.text)})
    assert answer.headers["location"] == "/account"
    again = running.visitor()
    page = again.get("/sign-in/link", params={"token": token})
    assert (
        again.client.post("/sign-in/link", data={"token": token, "csrf": mark(page.text)}).status_code == 403
    )
    form = {"password": PASSWORD, "again": PASSWORD}
    assert visitor.post("/account/password", form).headers["location"] == "/runs"
    assert running.services.accounts.first() is None


def test_a_password_opens_the_door_and_leads_back_to_the_page_asked_for(build: Any) -> None:
    running = build()
    user = running.services.accounts.make("mira", "viewer", "test")
    running.services.accounts.set_password(user.id, PASSWORD)
    visitor = running.visitor()
    away = visitor.get("/models?x=1").headers["location"]
    assert away == "/sign-in?next=/models%3Fx%3D1"
    form = {"csrf": mark(visitor.get(away).text), "name": "mira", "password": PASSWORD, "next": "/models?x=1"}
    assert visitor.client.post("/sign-in", data=form).headers["location"] == "/models?x=1"
    assert visitor.get("/models").status_code == 200


@pytest.mark.parametrize(
    "weak", ["short", "aaaaaaaaaaaaaaaa", "password1234", "Melanosizer123456", "x" * 300]
)
def test_weak_passwords_are_refused_with_the_reason(weak: str) -> None:
    with pytest.raises(WeakPasswordError, match="too "):
        passwords.make(weak, name="mira", least=12)


def test_passwords_are_kept_as_argon2id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_HASHER", REAL)
    hashed = passwords.make(PASSWORD, name="mira", least=12)
    assert hashed.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert passwords.verify(hashed, PASSWORD)
    assert not passwords.verify(hashed, PASSWORD + " ")
    assert not passwords.verify(None, PASSWORD)
    assert not passwords.verify("no hash", PASSWORD)


def test_a_new_password_ends_every_other_session(build: Any) -> None:
    running = build()
    here, there = running.signed_in("viewer", "mira"), running.signed_in("viewer", "mira")
    assert here.post("/account/password", {"password": PASSWORD, "again": PASSWORD}).status_code == 303
    assert here.get("/runs").status_code == 200
    assert there.get("/runs").status_code == 303
    wrong = here.post(
        "/account/password", {"current": "no", "password": PASSWORD + "!", "again": PASSWORD + "!"}
    )
    assert wrong.status_code == 422


def test_a_changed_role_and_a_closed_account_end_sessions(build: Any) -> None:
    running = build()
    admin, mira = running.signed_in("admin"), running.signed_in("approver", "mira")
    number = running.services.accounts.named("mira").id
    assert admin.post(f"/admin/people/{number}", {"role": "viewer", "active": "true"}).status_code == 303
    assert mira.get("/runs").status_code == 303
    mira.sign_in("mira", "viewer")
    assert mira.post("/models/rollback", {"why": "because"}).status_code == 403
    assert admin.post(f"/admin/people/{number}", {"role": "viewer"}).status_code == 303
    assert mira.get("/runs").status_code == 303


def test_the_last_administrator_stays(build: Any) -> None:
    running = build()
    user = running.services.accounts.make("only", "admin", "test")
    with pytest.raises(FaultError, match="last administrator"):
        running.services.accounts.change(user.id, role="viewer", active=True, by="only")
    with pytest.raises(FaultError, match="is not an account name"):
        running.services.accounts.make("a b<script>", "viewer", "only")
    with pytest.raises(FaultError, match="already"):
        running.services.accounts.make("ONLY", "viewer", "only")


def test_sessions_end_by_age_and_by_silence(build: Any) -> None:
    running = build(session_hours=1, session_idle_minutes=10)
    database = running.services.database
    for column, value in (
        (Session.expires, clock.now() - 1),
        (Session.seen, clock.now() - 11 * clock.MINUTE),
    ):
        visitor = running.signed_in("viewer")
        assert visitor.get("/runs").status_code == 200
        with database.write() as session:
            session.execute(update(Session).values({column: value}))
        assert visitor.get("/runs").status_code == 303


def test_an_administrator_makes_people_and_tokens_that_are_shown_once(build: Any) -> None:
    running = build()
    admin = running.signed_in("admin")
    made = admin.post(
        "/admin/people", {"name": "mira", "role": "reviewer"}, headers={"accept": "application/json"}
    ).json()
    assert made["value"].startswith("http://127.0.0.1/sign-in/link?token=")
    form = {"name": "prometheus", "scope": ["metrics"]}
    token = admin.post("/admin/tokens", form, headers={"accept": "application/json"}).json()["value"]
    headers = {"Authorization": f"Bearer {token}"}
    page = running.visitor().client.get("/metrics", headers=headers)
    assert "melanosizer_dashboard_requests_total" in page.text
    assert token not in admin.get("/admin").text
    number = admin.json("/admin")["tokens"][0]["id"]
    assert admin.post(f"/admin/tokens/{number}/revoke").status_code == 303
    assert running.visitor().client.get("/metrics", headers=headers).status_code == 401
    needs_device = admin.post("/admin/tokens", {"name": "x", "scope": ["report"]})
    assert needs_device.status_code == 422


def test_only_digests_of_secrets_are_in_the_database(build: Any, workspace: Any) -> None:
    running = build()
    visitor = running.signed_in("viewer")
    headers = running.token("predict")
    running.services.database.close()
    raw = b"".join(path.read_bytes() for path in (workspace / "dashboard").glob("dashboard.sqlite*"))
    for cookie in visitor.client.cookies.jar:
        assert cookie.value.encode() not in raw
    assert headers["Authorization"].split()[1].encode() not in raw
    assert (workspace / "dashboard" / "secret.key").stat().st_mode & 0o077 == 0


def test_accounts_of_a_provider_never_take_a_local_name(build: Any) -> None:
    running = build()
    running.services.accounts.make("mira", "admin", "test")
    user = running.services.accounts.from_provider("https://id.example#123456789", "mira", "viewer")
    assert user.name == "mira#23456789"
    assert user.role == "viewer"
    with running.services.database.read() as session:
        assert session.query(User).filter_by(name="mira").one().subject is None

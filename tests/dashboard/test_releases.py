"""Promotion and rollback: what the registry itself would write, and a second person's word."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any


def test_the_example_workspace_has_the_form_of_the_contract(workspace: Path) -> None:
    import jsonschema

    schema = json.loads((Path(__file__).parents[2] / "schemas" / "registry_record.schema.json").read_text())
    for path in (workspace / "registry" / "melanoma").glob("[0-9]*.json"):
        jsonschema.validate(json.loads(path.read_text()), schema)


def test_an_approver_rolls_back_at_once_and_the_log_says_so(filled: Any) -> None:
    services = filled.services
    newest, older = services.registry.names()[:2]
    approver = filled.signed_in("approver", "jo")
    assert approver.roll_back("misses amelanotic lesions").status_code == 303
    assert services.registry.channels().stable == older
    assert f"versions: {older}" in services.workspace.server_config.read_text()
    event = services.registry.events()[-1]
    assert (event.who, event.action, event.previous) == ("jo", "rolled_back", newest)
    lines = approver.json("/audit?action=rollback&verify=true")
    assert lines["intact"] is True
    assert lines["lines"][0]["detail"] == {"why": "misses amelanotic lesions", "previous": newest}


def test_with_two_people_nothing_happens_before_the_second_agrees(build: Any) -> None:
    running = build(second_person="all")
    services = running.services
    newest, older = services.registry.names()[:2]
    jo, mira, viewer = (
        running.signed_in("approver", "jo"),
        running.signed_in("approver", "mira"),
        running.signed_in("viewer"),
    )
    assert jo.roll_back("worse in the field").status_code == 303
    assert services.registry.channels().stable == newest
    number = jo.json("/models")["decisions"][0]["id"]
    own = jo.post(f"/decisions/{number}/approve")
    assert own.status_code == 403
    assert "second person" in own.json()["error"]
    assert viewer.post(f"/decisions/{number}/approve").status_code == 403
    assert mira.post(f"/decisions/{number}/approve", {"comment": "seen the cases"}).status_code == 303
    assert services.registry.channels().stable == older
    assert services.registry.events()[-1].who == "jo, approved by mira"
    assert mira.post(f"/decisions/{number}/approve").status_code == 409
    actions = [line["action"] for line in jo.json("/audit")["lines"] if line["action"].startswith("rollback")]
    assert actions == ["rollback.approve", "rollback.ask"]


def test_whoever_asks_cannot_let_a_second_person_in(build: Any) -> None:
    running = build(second_person="all")
    served = running.services.registry.channels().stable
    admin = running.signed_in("admin", "ada")
    admin.roll_back("worse in the field")
    number = admin.json("/models")["decisions"][0]["id"]
    mira = running.signed_in("approver", "mira")
    with running.services.database.write() as session:
        running.services.audit.add(session, "ada", "account.link", "mira")
    refused = mira.post(f"/decisions/{number}/approve")
    assert refused.status_code == 403
    assert "ada, who asked for this, made your sign-in link since" in refused.json()["error"]
    assert running.services.registry.channels().stable == served
    assert running.signed_in("approver", "jo").post(f"/decisions/{number}/approve").status_code == 303


def test_an_approval_of_what_is_no_longer_so_is_refused(build: Any) -> None:
    running = build(second_person="promotions")
    services = running.services
    oldest = services.registry.names()[-1]
    jo, mira = running.signed_in("approver", "jo"), running.signed_in("approver", "mira")
    jo.promote(oldest, "compare again")
    jo.roll_back("rollbacks need nobody here")
    served = services.registry.channels().stable
    number = next(one["id"] for one in jo.json("/models")["decisions"] if one["state"] == "waiting")
    assert mira.post(f"/decisions/{number}/approve").status_code == 409
    assert services.registry.channels().stable == served
    assert {one["state"] for one in jo.json("/models")["decisions"]} == {"outdated", "done"}


def test_asking_can_be_taken_back(build: Any) -> None:
    running = build(second_person="all")
    jo = running.signed_in("approver", "jo")
    jo.roll_back("too early")
    number = jo.json("/models")["decisions"][0]["id"]
    assert jo.post(f"/decisions/{number}/decline").status_code == 303
    assert jo.json("/models")["decisions"][0]["state"] == "declined"


def test_a_failure_to_write_leaves_no_claim_that_it_was_done(build: Any) -> None:
    running = build()
    older = running.services.registry.names()[1]
    shutil.rmtree(running.services.workspace.served("melanoma") / older)
    jo = running.signed_in("approver", "jo")
    answer = jo.roll_back("because")
    assert answer.status_code == 409
    assert "restore" in answer.json()["error"]
    assert jo.json("/models")["decisions"] == []
    assert jo.json("/audit?action=rollback")["total"] == 0


def test_a_button_serves_what_it_says_or_nothing(filled: Any) -> None:
    services = filled.services
    newest, older, oldest = services.registry.names()[:3]
    jo, mira = filled.signed_in("approver", "jo"), filled.signed_in("approver", "mira")
    seen = {"version": older, "served": newest, "why": "misses amelanotic lesions"}
    assert mira.roll_back("worse in the field").status_code == 303
    late = jo.post("/models/rollback", seen)
    assert late.status_code == 409
    assert f"version {older} is served now (rolled back by mira: worse in the field)" in late.json()["error"]
    assert services.registry.channels().stable == older
    page = jo.post(
        f"/models/{oldest}/promote",
        {"why": "compare again", "served": newest},
        headers={"accept": "text/html"},
    )
    assert page.status_code == 409
    assert f"the page showed {newest}" in page.text
    # The version is right, and what a rollback would serve is another: the registry went on meanwhile.
    other = jo.post("/models/rollback", seen | {"served": older})
    assert f"a rollback would serve {oldest} now, not {older}" in other.json()["error"]
    assert services.registry.channels().stable == older
    assert jo.post("/models/rollback", {"why": "without the rest"}).status_code == 422


def test_a_change_between_the_look_and_the_lock_is_noticed(dash: Any) -> None:
    services = dash.services
    newest, older = services.registry.names()[:2]
    jo = dash.signed_in("approver", "jo")
    store = services.registry
    act = store.rollback

    def overtaken(version: str | None, who: str, why: str, expected: str | None = None) -> str:
        store.promote(older, "mira", "was quicker")
        return act(version, who, why, expected=expected)

    store.rollback = overtaken
    answer = jo.roll_back("because")
    assert answer.status_code == 409
    assert "promoted by mira: was quicker" in answer.json()["error"]
    assert services.registry.events()[-1].who == "mira"
    assert jo.json("/audit?action=rollback")["total"] == 0
    assert newest != older

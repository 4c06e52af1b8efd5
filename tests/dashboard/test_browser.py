"""A real browser: what a person does, with the mouse and with the keyboard."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from dashboard import clock
from tests.dashboard.rig import CHROMIUM, PASSWORD, PATIENCE_MS, LiveRun

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.skipif(
    not CHROMIUM.exists(), reason=f"no browser here: {CHROMIUM} (apt-get install chromium)"
)


def test_somebody_new_chooses_a_password_and_signs_in_with_it(build: Any, desk: Any) -> None:
    running = build()
    page = desk(running, "mira", "viewer").page
    page.get_by_label("New password").fill(PASSWORD)
    page.get_by_label("Once more").fill(PASSWORD)
    page.locator("form", has_text="New password").get_by_role("button", name="Save").click()
    page.wait_for_url("**/runs")
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/sign-in")
    page.get_by_label("Name").fill("mira")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/runs")
    playwright.expect(page.get_by_role("heading", name="Runs", exact=True)).to_be_visible()


def test_a_run_goes_live_before_open_eyes_and_two_are_compared(build: Any, desk: Any) -> None:
    running = build()
    person = desk(running)
    page = person.go("/runs")
    started = clock.now()
    live = LiveRun(running.services.workspace, "29990101-000000", started)
    row = page.get_by_role("row", name=re.compile("29990101-000000"))
    playwright.expect(row).to_contain_text("running", timeout=PATIENCE_MS)
    row.get_by_role("link", name="29990101-000000").click()
    live.until(3)
    step = page.locator("#step-StatisticsGen")
    playwright.expect(step).to_contain_text("running", timeout=PATIENCE_MS)
    playwright.expect(page.locator("#step-Trainer")).to_contain_text("pending")
    live.finish()
    playwright.expect(page.locator(".banner")).to_contain_text("auc is 0.612", timeout=PATIENCE_MS)
    person.go("/runs")
    names = [run.run_id for run in running.services.runs.all() if run.auc][:2]
    for name in names:
        page.get_by_label(f"compare {name}").check()
    page.get_by_role("button", name="Compare the chosen runs").click()
    page.wait_for_url("**/runs/compare?**")
    table = page.get_by_role("region", name="metrics")
    for name in names:
        playwright.expect(table).to_contain_text(name)
    roc = page.get_by_role("figure", name="ROC on the test split")
    for name in names:  # the legend says whose curve is whose
        playwright.expect(roc.locator("svg")).to_contain_text(name)


def test_the_slider_moves_the_zones_without_a_reload(build: Any, desk: Any) -> None:
    running = build()
    version = running.services.registry.names()[0]
    page = desk(running).go(f"/models/{version}/evaluation")
    before = page.locator(".zones").inner_text()
    page.evaluate("window.untouched = true")
    slider = page.get_by_label("Refer from")
    slider.focus()
    for _ in range(3):
        page.keyboard.press("PageUp")  # the keyboard alone is enough
    playwright.expect(page.locator(".zones")).not_to_have_text(before)
    assert page.evaluate("window.untouched") is True
    assert page.evaluate("document.activeElement.id") == "refer_from"
    shown = page.locator("output[for=refer_from]").inner_text().replace("\u00a0%", "")
    assert float(shown) > 18
    playwright.expect(page.locator(".zone.bad .range")).to_contain_text(shown)


def settled(services: Any) -> None:
    """Wait until the labels follow: when the servers have loaded what was decided; the page says so until then."""
    services.settler.turn()
    while services.settler.waiting:
        threading.Event().wait(0.01)
        services.settler.turn()


def test_a_model_is_promoted_found_worse_and_rolled_back_by_two_people(
    build: Any, double: Any, desk: Any, picture: bytes
) -> None:
    running = build(second_person="all")
    services = running.services
    good = services.registry.channels().stable
    worse = services.registry.names()[-1]
    double.blind.add(worse)
    jo, mira = desk(running, "jo"), desk(running, "mira")
    token = running.token("predict", "report", device="pi-003")

    def traffic(count: int) -> set[tuple[str, str]]:
        seen = set()
        for number in range(count):
            files = {"image": ("a.jpg", picture + b"\0" * (40 + number), "image/jpeg")}
            answer = httpx.post(f"{jo.base}/api/v1/predict", headers=token, files=files, timeout=120).json()
            seen.add((answer["predictions"][0]["model_version"], answer["predictions"][0]["zone"]))
        return seen

    def approved_by_mira() -> None:
        button = mira.go("/models").get_by_role("button", name="Approve")
        with mira.page.expect_navigation():
            button.click()

    page = jo.go(f"/models/{worse}")
    page.get_by_label("Why").fill("better on the new camera")
    page.get_by_role("button", name="Promote").click()
    playwright.expect(page.get_by_text("a second person has to approve", exact=True)).to_be_visible()
    assert services.registry.channels().stable == good
    approved_by_mira()
    assert services.registry.channels().stable == worse
    settled(services)
    assert traffic(12) == {(worse, "low")}
    # The clinic says: these were melanomas.
    page = jo.go(f"/field/predictions?version={worse}")
    page.locator("tbody a").first.click()
    page.get_by_label("melanoma").check()
    page.get_by_role("button", name=re.compile("^(Enter|Correct)$")).click()
    playwright.expect(page.locator(".events")).to_contain_text("melanoma by histology")
    page = jo.go(f"/field?last=1d&version={worse}")
    row = page.get_by_role("row", name=re.compile("melanomas referred or set to review"))
    playwright.expect(row).to_contain_text("0.0")
    page = jo.go("/models")
    page.get_by_label("Why").fill("calls melanomas harmless")
    page.get_by_role("button", name=f"Roll back to {good}").click()
    playwright.expect(page.get_by_text("a second person has to approve", exact=True)).to_be_visible()
    approved_by_mira()
    assert services.registry.channels().stable == good
    settled(services)
    assert {version for version, _ in traffic(3)} == {good}
    page = jo.go("/audit?verify=1")
    playwright.expect(page.get_by_role("status")).to_contain_text("The chain is whole")
    actions = [line.split(".")[0] for line in page.locator("tbody tr td:nth-child(4)").all_inner_texts()]
    assert [action for action in actions if action in ("promote", "rollback")] == [
        "rollback",
        "rollback",
        "promote",
        "promote",
    ]
    page = jo.go("/serving")
    playwright.expect(page.get_by_role("row", name=re.compile(f"{good}.*stable.*available"))).to_be_visible()


def test_an_outcome_is_entered_from_the_queue(build: Any, desk: Any) -> None:
    running = build()
    person = desk(running, "dr.reyes", "reviewer")
    before = running.signed_in("viewer").json("/field?last=365d")["quality"]["melanomas"]
    page = person.go("/field/review")
    first = page.locator(".queue li").first.inner_text()
    page.get_by_role("button", name="Melanoma").first.click()
    playwright.expect(page.locator(".queue li").first).not_to_have_text(first)
    after = running.signed_in("viewer").json("/field?last=365d")["quality"]["melanomas"]
    assert after == before + 1


def test_an_alert_appears_by_itself_and_is_acknowledged(build: Any, desk: Any) -> None:
    running = build()
    page = desk(running).go("/alerts")
    running.services.alerts.turn()
    button = page.get_by_role("button", name=re.compile("Acknowledge: pi-005")).first
    button.click()
    playwright.expect(page.get_by_text("acknowledged by jo")).to_be_visible()


def test_the_keyboard_alone_rolls_back(build: Any, desk: Any) -> None:
    running = build()
    page = desk(running).go("/models")
    older = running.services.registry.names()[1]
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    for _ in range(200):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.name") == "why":
            break
    page.keyboard.type("with both hands on the keys")
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    page.keyboard.press("Enter")
    playwright.expect(page.locator(".events").first).to_contain_text("with both hands on the keys")
    assert running.services.registry.channels().stable == older


def test_ten_tabs_share_one_stream_and_all_hear_of_a_change(build: Any, desk: Any) -> None:
    running = build()
    person = desk(running)
    person.go("/models")
    tabs = [person.page, *(person.context.new_page() for _ in range(9))]
    for tab in tabs[1:]:  # over HTTP/1.1 the seventh would wait for ever behind six streams
        tab.goto(f"{person.base}/models", timeout=PATIENCE_MS)
    playwright.expect(tabs[-1].get_by_role("heading", name="Models", exact=True)).to_be_visible()
    older = running.services.registry.names()[1]
    running.signed_in("approver", "mira").roll_back("heard in every tab")
    for tab in tabs:
        playwright.expect(tab.locator(".events").first).to_contain_text(
            "heard in every tab", timeout=PATIENCE_MS
        )
    assert running.services.registry.channels().stable == older
    # The stream of a page that was left ends when the server hears of it.
    person_id = running.services.accounts.named("jo").id
    while running.services.pulse.open(person_id) != 1:
        threading.Event().wait(0.01)


def test_a_live_page_keeps_ticks_open_details_focus_and_scroll(build: Any, desk: Any) -> None:
    running = build()
    person = desk(running, viewport={"width": 390, "height": 700})
    page = person.go("/runs")
    names = [run.run_id for run in running.services.runs.all() if run.origin == "local"][:2]
    page.get_by_label(f"compare {names[0]}").check()
    page.get_by_role("region", name="runs", exact=True).evaluate("one => one.scrollLeft = 120")
    page.evaluate("window.scrollTo(0, 200)")
    page.get_by_label(f"compare {names[1]}").evaluate("one => one.focus({preventScroll: true})")
    live = LiveRun(running.services.workspace, "29990101-000000", clock.now())
    playwright.expect(page.get_by_role("row", name=re.compile("29990101-000000"))).to_be_attached(
        timeout=PATIENCE_MS
    )
    assert page.get_by_label(f"compare {names[0]}").is_checked()
    assert not page.get_by_label(f"compare {names[1]}").is_checked()
    assert page.evaluate("document.activeElement.value") == names[1]
    assert page.evaluate("window.scrollY") == 200
    assert page.get_by_role("region", name="runs", exact=True).evaluate("one => one.scrollLeft") == 120
    page.get_by_role("link", name=running.services.runs.ids()[1]).first.click()
    gate = page.locator("details.gate").first
    before = gate.get_attribute("open")
    gate.locator("summary").click()
    live.finish()
    with page.expect_response(re.compile("live=1")):
        running.services.pulse.tell("runs")
    if before is None:
        playwright.expect(gate).to_have_attribute("open", "")
    else:
        playwright.expect(gate).not_to_have_attribute("open", "")


def test_a_session_that_ends_gives_the_typed_outcome_back(build: Any, desk: Any) -> None:
    running = build()
    person = desk(running, "mira", "reviewer")
    running.services.accounts.set_password(running.services.accounts.named("mira").id, PASSWORD)
    page = person.page
    page.get_by_role("button", name="Sign out").click()

    def sign_in() -> None:
        page.get_by_label("Name").fill("mira")
        page.get_by_label("Password").fill(PASSWORD)
        page.keyboard.press("Enter")

    sign_in()
    page.wait_for_url(re.compile(r":\d+/account$"))
    page = person.go("/field/predictions/1")
    page.get_by_label("melanoma").check()
    page.get_by_label("Comment").fill("nodular, 1.2 mm")
    running.services.sessions.end_all(running.services.accounts.named("mira").id)
    page.get_by_role("button", name=re.compile("^(Enter|Correct)$")).click()
    page.wait_for_url("**/sign-in?next=/field/predictions/1")
    sign_in()
    page.wait_for_url(re.compile(r":\d+/field/predictions/1$"))
    playwright.expect(page.get_by_role("status")).to_contain_text("What you had entered is back")
    assert page.get_by_label("Comment").input_value() == "nodular, 1.2 mm"
    assert page.get_by_label("melanoma").is_checked()
    page.get_by_role("button", name=re.compile("^(Enter|Correct)$")).click()
    playwright.expect(page.locator(".events").first).to_contain_text("nodular, 1.2 mm")
    person.go("/field/predictions/1")
    assert page.get_by_label("Comment").input_value() == ""


def test_two_dashboards_on_one_host_do_not_sign_each_other_out(build: Any, desk: Any, tmp_path: Path) -> None:
    one, two = build(), build(state_dir=tmp_path / "second")
    person = desk(one)
    base, other = person.base, desk(two).base
    user = two.services.accounts.named("jo")
    person.page.goto(f"{other}/sign-in/link?token={two.services.sessions.link(user.id)}")
    person.page.get_by_role("button", name="Continue").click()
    person.page.wait_for_url(re.compile("/account|/runs"))
    for place in (base, other):
        person.page.goto(f"{place}/models")
        playwright.expect(person.page.get_by_role("heading", name="Models", exact=True)).to_be_visible()

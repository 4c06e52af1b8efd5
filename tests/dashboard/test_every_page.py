"""Every page in a real browser, at three widths, light and dark, with names that are hard to show: axe, and what leaves its box."""

from __future__ import annotations

import importlib
import json
import re
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from dashboard import clock
from dashboard.database.tables import (
    Alert,
    Device,
    Examination,
    Prediction,
    Review,
    Rule,
    RunNote,
    Token,
    User,
)
from tests.dashboard.rig import CHROMIUM, VENDORED, pages

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not CHROMIUM.exists(), reason=f"no browser here: {CHROMIUM} (apt-get install chromium)"
    ),
]

AXE = VENDORED / "axe-4.14.1.min.js"
OVERRIDE = "\u202egnp.exe\u202c \u05d0\u05d1"
ENDLESS = "W" * 150


def turned(running: Any) -> str:
    """Names that turn their neighbours around, and names without an end, in every list that takes names."""
    services = running.services
    name = f"{OVERRIDE} {ENDLESS}"
    old = services.runs.folder(services.runs.ids()[0])
    run = old.with_name(f"\u05d0\u05d1{ENDLESS[:90]}#?%")
    shutil.copytree(old, run)
    document = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(document | {"run_id": run.name, "reason": name, "preset": name}))
    with services.database.write() as session:
        services.audit.add(session, name[:160], "run.note", name, why=name)
        session.add(
            RunNote(
                run_id=run.name,
                tags=f"{OVERRIDE}, {ENDLESS[:80]}",
                note=name,
                changed=1,
                changed_by=name[:160],
            )
        )
        rule = session.query(Rule).first()
        rule.name = name[:120]
        session.add(
            Alert(rule_id=rule.id, subject=name[:160], severity="critical", message=name, opened=clock.now())
        )
        session.add(
            Token(
                digest="d" * 64,
                hint="abc",
                name=name[:120],
                scopes="predict",
                created=1,
                created_by=name[:160],
            )
        )
        session.add(User(name=name[:120], subject="x", role="viewer", active=True, created=1))
        prediction = session.get(Prediction, 1)
        prediction.outcome = None
        session.merge(
            Examination(
                id=prediction.request_id, device_id="d" * 64, at=clock.now(), state="answered", digest="", number=7,
                code=OVERRIDE[:20] + ENDLESS[:40], document={"quality": {"advice": [name[:60]]}},
            )
        )  # fmt: skip
        session.add(
            Review(prediction_id=1, at=1, who=name[:160], outcome="unclear", basis="histology", comment=name)
        )
        session.add(
            Device(id="d" * 64, first_seen=1, last_seen=1, model_version="9" * 19, software="s" * 64, heartbeat={
                "notices": [{"kind": "camera_gone", "detail": name}], "camera": name})
        )  # fmt: skip
    person = running.signed_in("approver", "turner")
    person.promote(services.registry.names()[-1], name)
    return run.name


def addresses(running: Any) -> list[str]:
    listed = pages(running)
    run = quote(turned(running), safe="")
    version = running.services.registry.all()[0].version
    return [*listed, f"/runs/{run}", f"/runs/{run}/log", f"/runs/compare?run={run}", "/sign-in",
            "/devices/" + "d" * 64, f"/models/{version}/evaluation", "/nothing", "/alerts", "/data?page=9"]  # fmt: skip


def complaints(page: Any, path: str) -> list[Any]:
    """What axe finds serious on a page, dark and light, and what stands out of it at three widths."""
    # Through the debugger, as a policy without inline scripts demands.
    page.evaluate(AXE.read_text())
    found: list[Any] = []
    # The themes differ in colours only: names, roles and structure are looked at in one of them.
    for scheme, rules in (("dark", ", runOnly: ['color-contrast', 'link-in-text-block']"), ("light", "")):
        page.emulate_media(color_scheme=scheme)
        report = page.evaluate(f"axe.run(document, {{resultTypes: ['violations']{rules}}})")
        found += [
            (path, scheme, rule["id"], node["html"][:160])
            for rule in report["violations"]
            if rule["impact"] in ("serious", "critical")
            for node in rule["nodes"][:2]
        ]
    for width in (1440, 1024, 390):
        page.set_viewport_size({"width": width, "height": 900})
        if (over := page.evaluate("document.documentElement.scrollWidth - window.innerWidth")) > 0:
            found.append((path, f"{width} px", over))
        found += [(path, f"{width} px", text) for text in page.evaluate(OUTSIDE)]
    page.set_viewport_size({"width": 1440, "height": 900})
    return found


# Texts that stand out of the card, row or tile they belong to; what scrolls may be wider than it.
OUTSIDE = """() => {
  const found = [];
  for (const box of document.querySelectorAll(".card, .tile, .pill, .chip, li, dd, td, th, summary, figcaption, .side")) {
    if (box.closest(".scroll, pre, svg, .gone, .skip") && !box.matches("td, th")) continue;
    if (getComputedStyle(box).overflowX !== "visible" || !box.clientWidth) continue;
    if (box.scrollWidth > box.clientWidth + 1) found.push(`${box.tagName}.${box.className}: ${box.innerText.slice(0, 60)}`);
  }
  return found.slice(0, 3);
}"""


def test_axe_finds_nothing_serious_on_any_page_and_no_name_leaves_its_box_or_turns_its_neighbours_around(
    build: Any, double: Any, desk: Any
) -> None:
    running = build(second_person="all")
    person = desk(running, "root.beer", "admin")
    found, marked = [], []
    for path in addresses(running):
        page = person.go(path)
        html = re.sub(r"<svg.*?</svg>", "", page.content(), flags=re.DOTALL)
        marked += [(path, text) for text in re.findall(r">([^<]*\u202e[^<]*)<", html)]
        found += complaints(page, path)
    person.complaints = [
        one for one in person.complaints if "404" not in one
    ]  # the page of what is not there
    assert found == []
    assert len(marked) > 20
    for path, text in marked:
        assert re.search("\u2068[^\u2069]*\u202e[^\u2069]*\u2069", text), (path, text)
    # A field of a form holds the name as it is, so that it is sent back unchanged.
    person.go(f"/runs/{quote(turned_run(running), safe='')}")
    assert person.page.get_by_label("Tags").input_value().startswith(OVERRIDE)


def turned_run(running: Any) -> str:
    return next(name for name in running.services.runs.ids() if "\u05d0" in name)


def test_axe_finds_nothing_serious_on_report_and_cards(browser: Any, tmp_path: Path) -> None:
    page_of = pytest.importorskip("pipeline.report.page")
    fake_run = importlib.import_module("tests.support.fake_run")
    result, workspace = fake_run.write(tmp_path)
    folder = page_of.write(result, workspace).parent
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    found = []
    for name in ("report.html", "model_card.html", "data_card.html"):
        page.goto(f"file://{folder / name}")
        found += complaints(page, name)
    context.close()
    assert found == []

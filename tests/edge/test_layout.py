"""Every state of every page fits 800x480 in both languages, with the longest code and everything said at once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from core.records.heartbeat import NOTICE_KINDS
from edge.camera.photograph import prepare
from edge.camera.quality import Quality, measure
from edge.camera.sample import draw
from edge.config import LANGUAGES, PhotographSection
from edge.device import Draft
from edge.notices import Notices
from edge.queue.examination import Answer, Examination, new_id
from tests.support.edge_bench import CHROMIUM
from tests.support.edge_screen import Ward

pytestmark = pytest.mark.skipif(
    not CHROMIUM.exists(), reason=f"{CHROMIUM} is not installed (apt-get install chromium)"
)
LONGEST = "W" * 24
PICTURE = draw(400, 300)
ADVICE = ["too_dark", "glare", "blurred", "no_lesion"]
LONG_TROUBLE = "models.clinic.example:8500: INTERNAL: " + "the server's own long words " * 10


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest, ward: Ward) -> Iterator[str]:
    ward.device.queue.remember("language", request.param)
    yield request.param
    ward.device.queue.remember("language", "en")


def keep(ward: Ward, **changes: Any) -> str:
    """Put an examination on the device without a server."""
    blank = Examination(new_id(), 0, LONGEST, 1_795_300_000.0, True, 400, 300, "0" * 64)
    given = replace(blank, **changes)
    ward.device.queue.add(given, PICTURE)
    return given.id


def answer_of(**changes: Any) -> Answer:
    blank = Answer(0.42, 1, 0.31, "refer", 0.0, "1795300000", low_below=0.123, refer_from=0.31)
    return replace(blank, **changes)


# Where the disclaimer and the way on end, each of them once.
ENDS = """() => [...document.querySelectorAll(".disclaimer, .actions .primary")]
  .filter((e) => e.checkVisibility()).map((e) => e.getBoundingClientRect().bottom)"""
ANSWERS = [
    {"zone": zone, "probability": probability, "out_of_distribution": odd, "origin": origin}
    for (zone, probability), odd, origin in itertools.product(
        (("low", 0.004), ("review", 0.21), ("refer", 0.9996)), (0.0, 1.0), ("server", "device")
    )
]


@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize("advice", [[], ADVICE])
def test_results_fit(ward: Ward, language: str, advice: list[str], trusted: bool) -> None:
    ward.network.cut()
    for changes in ANSWERS:
        one = keep(ward, quality={"advice": advice}, clock_trusted=trusted)
        found = answer_of(**changes)
        if found.preliminary:
            ward.device.queue.note(one, answer=found)
        else:
            ward.device.queue.settle(one, "answered", found)
            ward.device.queue.keep_heat_map(one, PICTURE)
        ward.go(f"/examinations/{one}")
        expect(ward.page.locator(".zone strong")).to_be_visible()
        ward.is_fit()
        # The disclaimer and the way on stand whole on every result.
        ends = ward.page.evaluate(ENDS)
        assert len(ends) == 2
        assert max(ends) <= 480, (language, changes)


@pytest.mark.parametrize("state", ["waiting", "set_aside", "refused", "damaged", "removed"])
def test_results_without_an_answer_fit(ward: Ward, language: str, state: str) -> None:
    ward.network.cut()
    queue = ward.device.queue
    one = keep(ward, quality={"advice": ADVICE}, clock_trusted=False)
    if state == "set_aside":
        queue.set_aside(one, LONG_TROUBLE)
    elif state in ("refused", "damaged"):
        queue.settle(one, state, trouble=LONG_TROUBLE)  # type: ignore[arg-type]
    elif state == "removed":
        queue.settle(one, "answered", answer_of())
        queue.drop_picture(one)
    ward.go(f"/examinations/{one}")
    expect(ward.page.locator(".panel h1")).to_be_visible()
    ward.is_fit()
    if state == "set_aside":
        queue.leave(one)


def test_the_history_fits(ward: Ward, language: str) -> None:
    ward.network.cut()
    for state in ("waiting", "set_aside", "refused", "answered", "preliminary", "waiting"):
        one = keep(ward, quality={"advice": ADVICE})
        if state == "set_aside":
            ward.device.queue.set_aside(one, LONG_TROUBLE)
        elif state == "preliminary":
            ward.device.queue.note(one, answer=answer_of(origin="device", zone="review"))
        elif state != "waiting":
            ward.device.queue.settle(one, state, answer_of() if state == "answered" else None)  # type: ignore[arg-type]
    for path in ("/history", "/history?page=2", "/history?q=W", "/history?q=nothing"):
        ward.go(path)
        expect(ward.page.locator(".pager")).to_be_visible()
        ward.is_fit()


@pytest.fixture
def lasting(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> Iterator[Notices]:
    """The notices, which nothing takes down before the test's end though nothing is wrong."""
    ward.network.mend()
    notices = ward.device.notices
    with monkeypatch.context() as patch:
        patch.setattr(notices, "clear", lambda *_kinds: None)
        yield notices
    notices.clear(*NOTICE_KINDS)


@pytest.mark.parametrize("kind", NOTICE_KINDS)
def test_notices_fit(ward: Ward, lasting: Notices, language: str, kind: Any) -> None:
    lasting.add(kind, LONG_TROUBLE)
    ward.go("/notices")
    expect(ward.page.locator(".notice-card").first).to_be_visible()
    ward.is_fit()


def test_many_notices_fit_the_status_line(ward: Ward, lasting: Notices, language: str) -> None:
    for kind in NOTICE_KINDS:
        lasting.add(kind, "all at once")
    for path in ("/", "/history", "/settings", "/notices"):
        ward.go(path)
        ward.is_fit()


def test_the_other_pages_fit(ward: Ward, language: str) -> None:
    page = ward.page
    for path in ("/", f"/?code={LONGEST}", "/?code=no_code", "/settings", "/settings?check", "/nowhere"):
        ward.go(path)
        ward.is_fit()
    ward.go("/")
    page.tap("#code")
    expect(page.locator("#keypad")).to_be_visible()
    for _ in range(24):
        page.tap('[data-key="W"]')
    ward.is_fit()
    page.tap('[data-act="done"]')
    page.tap("#scan")
    expect(page.locator("#scanner")).to_be_visible()
    ward.is_fit()
    page.tap("#scan-cancel")
    page.evaluate("document.body.classList.add('stale')")
    ward.is_fit()


def test_the_advice_fits(ward: Ward, language: str, tmp_path: Path) -> None:
    photograph = prepare(draw(800, 600), PhotographSection())
    quality = Quality(measure(photograph.pixels), tuple(ADVICE))
    ward.device.draft = Draft(new_id(), LONGEST, 1_795_300_000.0, photograph, quality)
    ward.go("/retake")
    expect(ward.page.locator(".advice li")).to_have_count(len(ADVICE))
    ward.is_fit()
    ward.device.draft = None

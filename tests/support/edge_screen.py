"""A device, its server behind a network that can be cut, and a real browser at 800x480 in front of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect, sync_playwright

from edge.camera.sample import draw
from tests.support.edge_bench import CHROMIUM, FLAGS, Bench, bench
from tests.support.edge_doubles import ModelServer, Network, answer

PATIENCE_MS = 120_000  # shared cores
# Elements whose content does not fit: cut off, outside the screen, or under a neighbour.
FAULTS = """() => {
  const said = (e) => `${e.tagName}.${e.className}: ${e.textContent.trim().slice(0, 60)}`;
  const shown = [...document.querySelectorAll("main *, header *, nav *, dialog[open] *")]
    .filter((e) => e.checkVisibility() && !e.closest(".scroll, svg, .servers"));
  const faults = [];
  for (const e of shown) {
    const box = e.getBoundingClientRect();
    if (box.right > 801 || box.bottom > 481 || box.left < -1 || box.top < -1) faults.push(`outside ${said(e)}`);
    const cut = getComputedStyle(e).textOverflow === "ellipsis" || e.classList.contains("detail");
    const text = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (text && !cut && (e.scrollWidth > e.clientWidth + 1) && e.clientWidth) faults.push(`overflows ${said(e)}`);
    if (e.matches(".button, .tag, .pill") && e.scrollWidth > e.clientWidth + 1) faults.push(`overflows ${said(e)}`);
  }
  for (const parent of document.querySelectorAll(".panel, .shown, .actions, .side, .status, .pager, .choices, .facts, .notices")) {
    const boxes = [...parent.children].filter((e) => e.checkVisibility()).map((e) => [e, e.getBoundingClientRect()]);
    for (const [i, [a, first]] of boxes.entries())
      for (const [b, second] of boxes.slice(i + 1))
        if (first.left < second.right - 1 && second.left < first.right - 1 && first.top < second.bottom - 1 && second.top < first.bottom - 1)
          faults.push(`overlap ${said(a)} | ${said(b)}`);
  }
  return faults;
}"""
SMALL_TARGETS = """() => [...document.querySelectorAll("a, button, input:not([type=hidden])")]
  .filter((e) => e.checkVisibility())
  .map((e) => [e.outerHTML.slice(0, 80), e.getBoundingClientRect()])
  .filter(([, box]) => box.width < 48 || box.height < 48).map(([html]) => html)"""
SMALL_TEXT = """() => [...document.querySelectorAll("body *")]
  .filter((e) => e.checkVisibility() && [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
  .filter((e) => parseFloat(getComputedStyle(e).fontSize) < 13).map((e) => e.textContent)"""


class Ward:
    """A running device and its screen."""

    def __init__(self, made: Bench, page: Page, server: ModelServer, network: Network, camera: Path) -> None:
        self.device, self.url, self.page = made.device, made.url, page
        self.server, self.network, self.camera = server, network, camera
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))

    def go(self, path: str) -> None:
        """Open a page."""
        self.page.goto(self.url + path)

    def scan(self, code: str) -> None:
        """Type as a USB scanner does, which takes no time by the page's clock however busy this machine is."""
        self.page.evaluate("() => { const now = performance.now(); performance.now = () => now; }")
        self.page.keyboard.type(code)
        self.page.keyboard.press("Enter")
        self.page.evaluate("() => { delete performance.now; }")

    def touch_targets_are_large(self) -> None:
        """Fail if something to touch is smaller than 48 pixels."""
        small = self.page.evaluate(SMALL_TARGETS)
        assert not small, small

    def fits_the_screen(self) -> None:
        """Fail if anything lies outside 800x480, is cut off without an ellipsis, or lies over another thing."""
        faults = self.page.evaluate(FAULTS)
        assert not faults, "\n".join(faults)

    def is_fit(self) -> None:
        """Fail as both of these do, or if a text cannot be read at arm's length; one question to the browser."""
        looks = ", ".join(f"({one})()" for one in (FAULTS, SMALL_TARGETS, SMALL_TEXT))
        found = self.page.evaluate(f"async () => {{ await document.fonts.ready; return [{looks}]; }}")
        assert found == [[], [], []], found


@contextmanager
def ward_at(folder: Path, **sections: dict[str, Any]) -> Iterator[Ward]:
    """Run all of it until the block ends; `sections` override the configuration."""
    camera, state = folder / "camera", folder / "state"
    camera.mkdir()
    state.mkdir()
    (camera / "a.jpg").write_bytes(draw(800, 600))
    with (
        closing(ModelServer(lambda _jpeg, _context: answer(0.42))) as server,
        closing(Network(server.port)) as network,
        bench(state, camera, network.address, **sections) as made,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS, timeout=PATIENCE_MS)
        page = browser.new_page(viewport={"width": 800, "height": 480}, has_touch=True)
        page.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        yield Ward(made, page, server, network, camera)
        browser.close()

"""Draws the kiosk's pages at 800x480 for docs/images: `python -m benchmarks.edge_screens [FOLDER]`.

Every lesion in them is drawn (edge/camera/sample.py); no patient's picture is shown. Needs Debian's chromium, and
pngquant if the files are to be small.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, expect, sync_playwright

from core.heatmap import paint
from edge.camera.sample import draw
from tests.support.edge_bench import CHROMIUM, FLAGS, bench
from tests.support.edge_doubles import ModelServer, Network, answer

PROBABILITIES = (0.043, 0.21, 0.78, 0.34, 0.16, 0.31, 0.27)
LIMITS = (0.12, 0.31)


def main(folder: Path) -> None:
    """Walks through the pages and takes a picture of each."""
    folder.mkdir(parents=True, exist_ok=True)
    scores = iter(PROBABILITIES)
    rows, columns = np.mgrid[0:12, 0:16]
    heat = np.exp(-((columns - 8.2) ** 2 + (rows - 4.6) ** 2) / 8).astype(np.float32)
    last: list[bytes] = []

    def reply(jpeg: bytes, _context: object) -> object:
        last[:] = [jpeg]
        server.explain = paint(jpeg, heat)
        return answer(next(scores), limits=LIMITS)

    server = ModelServer(reply)  # type: ignore[arg-type]
    network = Network(server.port)
    with tempfile.TemporaryDirectory() as place:
        camera, state = Path(place) / "camera", Path(place) / "state"
        camera.mkdir()
        state.mkdir()
        for number in range(4):
            (camera / f"{number}.jpg").write_bytes(draw(1600, 1200, seed=number + 3))
        (camera / "4.jpg").write_bytes(draw(1600, 1200, seed=9, x=0.93, y=0.9))
        with bench(state, camera, network.address) as made, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
            page = browser.new_page(viewport={"width": 800, "height": 480})
            walk(page, made.url, network, folder, camera)
            browser.close()
    server.close()
    network.close()


def walk(page: Page, url: str, network: Network, folder: Path, camera: Path) -> None:
    """Capture, result, offline, reconnect, history, settings, trouble."""

    def shot(name: str) -> None:
        page.wait_for_timeout(700)
        path = folder / f"edge-{name}.png"
        page.screenshot(path=path)
        if shutil.which("pngquant"):
            subprocess.run(["pngquant", "--force", "--skip-if-larger", "--output", path, path], check=False)
        print(folder / f"edge-{name}.png")

    page.goto(url)
    expect(page.locator("#preview")).to_have_js_property("width", 448)
    shot("capture")
    page.click("#code")
    for key in "P-1024":
        page.click(f'[data-key="{key}"]')
    shot("keypad")
    page.click('[data-act="done"]')
    page.click("#shutter")
    page.wait_for_selector(".zone.low")
    shot("result-low")
    page.goto(url + "/?code=P-1025")
    page.click("#shutter")
    page.wait_for_selector(".zone.review")
    shot("result-review")
    page.goto(url + "/?code=P-1026")
    page.click("#shutter")
    page.wait_for_selector(".zone.refer")
    page.wait_for_selector("figcaption")
    shot("result-refer")
    page.click("figcaption a:last-child")
    page.wait_for_selector("img[src$='heat-map']")
    shot("heat-map")
    network.cut()
    page.goto(url + "/?code=P-1027")
    page.wait_for_selector(".pill.down")
    page.click("#shutter")
    page.wait_for_selector(".zone.waiting")
    shot("waiting")
    page.goto(url + "/history")
    shot("history")
    page.goto(url + "/notices")
    shot("notices")
    page.goto(url + "/")
    page.click("#shutter")
    page.wait_for_selector(".advice")
    shot("retake")
    network.mend()
    page.wait_for_selector(".pill.ok")
    page.click("text=Send it anyway")
    page.wait_for_selector(".zone strong")
    shot("sent-anyway")
    page.goto(url + "/settings?check")
    shot("settings")
    page.click("button[value=de]")
    page.wait_for_selector("html[lang=de]")
    page.goto(url + "/history")
    shot("history-de")
    page.goto(url + "/")
    expect(page.locator("#preview")).to_have_js_property("width", 448)
    away = camera.rename(camera.with_name("away"))
    page.wait_for_selector(".viewer.lost")
    shot("camera-lost-de")
    page.evaluate("document.body.classList.add('stale')")
    page.evaluate("document.getElementById('viewer').className = 'viewer still'")
    page.screenshot(path=folder / "edge-still-de.png")
    away.rename(camera)
    page.reload()
    page.wait_for_selector(".viewer:not(.lost)")
    expect(page.locator("#preview")).to_have_js_property("width", 448)
    shot("capture-de")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1] / "docs" / "images")

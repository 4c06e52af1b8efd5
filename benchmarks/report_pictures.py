"""Draws the pictures of docs/report.md: `python -m benchmarks.report_pictures REPORT.html [CHROMIUM]`."""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from benchmarks.dashboard_pictures import ARGUMENTS, FOLDER

# Section of the report, colour scheme; the summary is shown as the page begins.
SHOTS = (("summary", "light"), ("slices", "light"), ("performance", "dark"))
TALLEST = 1000


def main(report: Path, chromium: str = "/usr/bin/chromium") -> None:
    """Take every picture of SHOTS; none of them shows a lesion."""
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        for name, scheme in SHOTS:
            page = browser.new_context(
                viewport={"width": 1280, "height": 740}, color_scheme=scheme
            ).new_page()
            page.goto(report.resolve().as_uri(), wait_until="load")
            path = FOLDER / f"report-{name}{'-dark' if scheme == 'dark' else ''}.png"
            if name == "summary":
                page.screenshot(path=path)
            else:
                box = page.locator(f"#{name}").bounding_box()
                assert box is not None
                size = {
                    "x": box["x"],
                    "y": box["y"],
                    "width": box["width"],
                    "height": min(box["height"], TALLEST),
                }
                page.screenshot(path=path, clip=size, full_page=True)
            print(path.name)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])

"""Draws the pictures of docs/dashboard.md and docs/report.md; none of the report's shows a lesion.

python -m benchmarks.pictures dashboard WORKSPACE [--chromium PATH]
python -m benchmarks.pictures report REPORT.html [--chromium PATH]
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.dashboard_bench import cookies, served
from benchmarks.measuring import ROOT, command_line
from dashboard.services import Services
from dashboard.settings import Settings

FOLDER = ROOT / "docs" / "images"
ARGUMENTS = ["--no-sandbox", "--headless", "--disable-gpu", "--disable-quic", "--no-first-run"]
TALLEST_PAGE, TALLEST_SECTION = 1700, 1000
PAGES = (
    ("runs", 1440, "light"), ("models", 1440, "dark"), ("evaluation", 1440, "dark"), ("lineage", 1440, "light"),
    ("data", 1440, "light"), ("field", 1440, "light"), ("alerts", 1440, "light"), ("run", 1024, "light"),
    ("serving", 1024, "light"), ("evaluation", 390, "light"), ("field", 390, "light"), ("devices", 390, "light"),
)  # fmt: skip
# Of the report; the summary is shown as the page begins.
SECTIONS = (("summary", "light"), ("slices", "light"), ("performance", "dark"))


def save(page: Page, name: str, scheme: str, **options: Any) -> None:
    """Write what a page shows."""
    path = FOLDER / f"{name}{'-dark' if scheme == 'dark' else ''}.png"
    page.screenshot(path=path, **options)
    print(path.name)


def dashboard(browser: Browser, workspace: Path) -> None:
    """Take every picture of PAGES."""
    services = Services(Settings(workspace=workspace))
    with closing(services.database):
        cookie_name, _, token = cookies(services, 1)[0].partition("=")
        version = services.registry.all()[0]
    places = {
        "run": f"/runs/{version.run_id}",
        "evaluation": f"/models/{version.version}/evaluation",
        "data": f"/data/{version.data_version}",
    }
    with served(workspace) as base:
        for name, width, scheme in PAGES:
            context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
            context.add_cookies([{"name": cookie_name, "value": token, "url": base}])
            page = context.new_page()
            page.goto(base + places.get(name, f"/{name}"), wait_until="load")
            page.wait_for_timeout(400)
            tall = min(TALLEST_PAGE, page.evaluate("document.documentElement.scrollHeight"))
            page.set_viewport_size({"width": width, "height": tall})
            page.wait_for_timeout(300)
            save(page, f"dashboard-{name}-{width}", scheme)
            context.close()


def report(browser: Browser, file: Path) -> None:
    """Take every picture of SECTIONS."""
    for name, scheme in SECTIONS:
        page = browser.new_page(viewport={"width": 1280, "height": 740}, color_scheme=scheme)
        page.goto(file.resolve().as_uri(), wait_until="load")
        if name == "summary":
            save(page, f"report-{name}", scheme)
            continue
        box = page.locator(f"#{name}").bounding_box()
        assert box is not None
        clip = {**box, "height": min(box["height"], TALLEST_SECTION)}
        save(page, f"report-{name}", scheme, clip=clip, full_page=True)


def main() -> None:
    """Draw one page's pictures."""
    parser = command_line(__doc__)
    parser.add_argument("what", choices=("dashboard", "report"))
    parser.add_argument("source", type=Path, help="the dashboard's workspace, or the report's file")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    options = parser.parse_args()
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=options.chromium, args=ARGUMENTS)
        (dashboard if options.what == "dashboard" else report)(browser, options.source)
        browser.close()


if __name__ == "__main__":
    main()

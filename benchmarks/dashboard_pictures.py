"""Draws the pictures of docs/: `python -m benchmarks.dashboard_pictures WORKSPACE [CHROMIUM]`."""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from benchmarks.dashboard_bench import cookies, served
from dashboard.services import Services
from dashboard.settings import Settings

FOLDER = Path(__file__).parents[1] / "docs" / "images"
ARGUMENTS = ["--no-sandbox", "--headless", "--disable-gpu", "--disable-quic", "--no-first-run"]
TALLEST = 1700
SHOTS = (
    ("runs", 1440, "light"), ("models", 1440, "dark"), ("evaluation", 1440, "dark"), ("lineage", 1440, "light"),
    ("data", 1440, "light"), ("field", 1440, "light"), ("alerts", 1440, "light"), ("run", 1024, "light"),
    ("serving", 1024, "light"), ("evaluation", 390, "light"), ("field", 390, "light"), ("devices", 390, "light"),
)  # fmt: skip


def main(workspace: Path, chromium: str = "/usr/bin/chromium") -> None:
    """Take every picture of SHOTS."""
    services = Services(Settings(workspace=workspace))
    cookie_name, _, token = cookies(services, 1)[0].partition("=")
    version = services.registry.all()[0]
    places = {
        "run": f"/runs/{version.run_id}",
        "evaluation": f"/models/{version.version}/evaluation",
        "data": f"/data/{version.data_version}",
    }
    services.database.close()
    with served(workspace) as base, sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        for name, width, scheme in SHOTS:
            context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
            context.add_cookies([{"name": cookie_name, "value": token, "url": base}])
            page = context.new_page()
            page.goto(base + places.get(name, f"/{name}"), wait_until="load")
            page.wait_for_timeout(400)
            tall = min(TALLEST, page.evaluate("document.documentElement.scrollHeight"))
            page.set_viewport_size({"width": width, "height": tall})
            page.wait_for_timeout(300)
            path = FOLDER / f"dashboard-{name}-{width}{'-dark' if scheme == 'dark' else ''}.png"
            page.screenshot(path=path)
            context.close()
            print(path.name)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])

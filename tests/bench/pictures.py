"""The pictures in README.md, taken after `make train` and `make demo`: `make pictures`."""

from __future__ import annotations

from pathlib import Path

from fivefold.tracking import client, metaflow_cards
from tests.support.browser import Visit, app, chromium
from tests.support.running import ROOT

DEMO = ROOT / "build" / "demo"
DOCS = ROOT / "docs"


def main() -> None:
    """Take the three pictures; the newest run here and the demo's runs must be there."""
    with chromium() as browser:
        with app(ROOT) as address:
            predict(Visit(browser, address, viewport={"width": 1400, "height": 1430}))
        data_report(browser, DOCS / "eda-card.png")
        with app(DEMO, FIVEFOLD_JOURNAL=f"sqlite:///{DEMO}/journal.db") as address:
            monitoring(Visit(browser, address, viewport={"width": 1280, "height": 1560}))


def predict(visit: Visit) -> None:
    """Take the picture of a prediction with its reasons."""
    visit.open()
    visit.page.get_by_role("button", name="Predict").click()
    visit.page.get_by_text("Among the training rows").wait_for()
    visit.settle()
    visit.page.screenshot(path=DOCS / "app.png")


def data_report(browser: object, path: Path) -> None:
    """Take the picture of the first part of the data report."""
    page = browser.new_page(viewport={"width": 760, "height": 1400})
    page.set_content(metaflow_cards.card_html(client.find_run(), "eda"), wait_until="load")
    page.get_by_text("Strongest association first").wait_for()
    page.wait_for_timeout(3000)
    page.screenshot(path=path)


def monitoring(visit: Visit) -> None:
    """Take the picture of the window in which the demo's model had failed."""
    visit.open("monitoring")
    visit.choose("Window, the newest first", "asks for a new model")
    visit.page.screenshot(path=DOCS / "monitoring.png")


if __name__ == "__main__":
    main()

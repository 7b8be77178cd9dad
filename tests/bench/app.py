"""Times of the app in a real browser, with a warm cache: `python -m tests.bench.app`.

One training run on a generated table in its own folder, then a browser on the same cores.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import pandas as pd

from fivefold.data.synthetic.bank import write
from tests.support.browser import Visit, app, chromium
from tests.support.running import open_run, run_flow, run_id

GOALS = {
    "first paint of a page, s": 2.0,
    "click to prediction, s": 0.3,
    "100,000 rows, upload to result, s": 10.0,
}
ROWS = 100_000


def main() -> None:
    """Measure; print the median and the slowest of each figure beside its goal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--rows", type=int, default=10_000, help="rows of the training table")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder)
        write(store / "table.csv", rows=options.rows, seed=3)
        done = run_flow(
            store,
            "train.py",
            "run",
            "--data",
            store / "table.csv",
            "--target",
            "churned",
            "--trials",
            2,
            "--id-columns",
            "customer_id",
            "--mlflow-uri",
            f"sqlite:///{store}/mlflow.db",
        )
        winner = open_run(store, run_id(done.stdout))["select"].task["winner"].data
        table = pd.read_csv(store / "table.csv", dtype="str")
        pd.concat([table] * -(-ROWS // len(table)), ignore_index=True).head(ROWS).to_csv(
            store / "big.csv", index=False
        )
        with app(store) as address, chromium() as browser:
            visit = Visit(browser, address)
            rows = {
                **paints(visit, options.repeats),
                "click to prediction, s": clicks(visit, options.repeats),
                "100,000 rows, upload to result, s": [upload(visit, store / "big.csv")],
            }
            assert visit.faults == [], visit.faults
    print(f"model: {winner}\n{'figure':36}{'median':>8}{'worst':>8}{'goal':>7}")
    for name, values in rows.items():
        goal = GOALS.get(name, GOALS["first paint of a page, s"])
        print(f"{name:36}{statistics.median(values):8.2f}{max(values):8.2f}{goal:7.1f}")


def paints(visit: Visit, repeats: int) -> dict[str, list[float]]:
    """{page: seconds from the request to its heading}, each page once before it counts."""
    figures = {}
    for path in ("", "batch", "models", "data", "decision"):
        visit.open(path)
        figures[f"first paint of {path or 'predict'}, s"] = values = []
        for _ in range(repeats):
            began = time.perf_counter()
            visit.page.goto(f"{visit.address}/{path}")
            visit.page.wait_for_selector("h1")
            values.append(time.perf_counter() - began)
            visit.settle()
    return figures


def clicks(visit: Visit, repeats: int) -> list[float]:
    """Seconds from the click on Predict to another probability; the first click does not count."""
    visit.open()
    page, values = visit.page, []
    for number in range(repeats + 1):
        box = page.get_by_role("spinbutton", name="balance")
        box.fill(str(500 + 140_000 * (number % 2)))
        box.press("Tab")
        before = page.locator("[data-testid=stMetricValue]").first.inner_text() if number else ""
        began = time.perf_counter()
        page.get_by_role("button", name="Predict", exact=True).click()
        page.wait_for_function(
            "old => { const e = document.querySelector('[data-testid=stMetricValue]');"
            " return e && e.innerText !== old }",
            arg=before,
        )
        values.append(time.perf_counter() - began)
        visit.settle()
    return values[1:]


def upload(visit: Visit, path: Path) -> float:
    """Seconds from handing a file over to its table of results."""
    visit.open("batch")
    began = time.perf_counter()
    visit.page.locator("input[type=file]").set_input_files(path)
    visit.page.get_by_text("Highest probabilities").wait_for(timeout=120_000)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()

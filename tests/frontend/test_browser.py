"""A person's walk through the app in a real browser; every walk fails on a console error or an outside request."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from fivefold.model.bundle import from_bytes
from fivefold.tracking import client
from tests.support.browser import Visit, app, chromium
from tests.support.running import command, environment, open_run, run_flow, run_id, train_tiny
from tests.support.tables import mixed

pytestmark = pytest.mark.slow

EVIL = '<img src="http://elsewhere.test/x" onerror="alert(1)"><script>alert(2)</script>'
ATTACKS = 'img[src*=elsewhere], a[href^=javascript], a[href*="//elsewhere"], img[onerror]'
IMAGE = "![x](http://elsewhere.test/y.png)"


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    """A datastore of its own: the app shows the newest run, whatever other tests train."""
    return tmp_path_factory.mktemp("browser")


@pytest.fixture(scope="module")
def tiny(store, small_csv):
    return train_tiny(store, small_csv)


@pytest.fixture(scope="module")
def second(store, scope, tiny, address):
    """Another run on the same data, with a scope; trained while the app is up."""
    done = run_flow(
        store,
        "train.py",
        "--config",
        "scope",
        "scope.toml",
        "run",
        "--seed",
        "1",
        "--mlflow-uri",
        f"sqlite:///{store}/mlflow.db",
        "--trials",
        "1",
        "--folds",
        "3",
    )
    assert done.returncode == 0, done.stdout
    return open_run(store, run_id(done.stdout))


@pytest.fixture(scope="module")
def scope(store, small_csv):
    (store / "scope.toml").write_text(
        f'title = "Bank churn"\nquestion = "Which customers will leave?"\ndata = "{small_csv}"\n'
        '[target]\ncolumn = "churned"\npositive = "yes"\npositive_phrase = "will leave"\nnegative_phrase = "will stay"\n'
        '[columns]\nid = ["customer_id"]\nchangeable = ["n_products", "complaints_12m", "active_member"]\n'
        '[columns.units]\nage = "years"\n[costs]\nmiss = 5\ncapacity = 0.25\n'
    )


@pytest.fixture(scope="module")
def hostile(store, second, tmp_path_factory):
    """A run on a table whose names and texts are HTML and Markdown that would call home."""
    rows = mixed(240).rename(columns={"amount": EVIL, "region": "[x](javascript:alert(1))"})
    rows["[x](javascript:alert(1))"] = rows["[x](javascript:alert(1))"].replace(
        {"north": EVIL, "south": IMAGE}
    )
    rows["left"] = rows["left"].replace({"yes": IMAGE, "no": "<b>no</b>"})
    folder = tmp_path_factory.mktemp("hostile")
    rows.to_csv(folder / "rows.csv", index=False)
    (folder / "scope.toml").write_text(
        f"title = '{EVIL}'\nquestion = '{IMAGE}'\ndata = 'rows.csv'\n[target]\ncolumn = 'left'\npositive = '{IMAGE}'\n"
        f"positive_phrase = '{IMAGE}'\nnegative_phrase = '{EVIL}'\n[columns]\nchangeable = ['shop', '{EVIL}']\n"
        f"[columns.help]\nage = '{EVIL} {IMAGE}'\n[columns.units]\nage = '{IMAGE}'\n"
    )
    done = run_flow(
        store,
        "train.py",
        "--config",
        "scope",
        folder / "scope.toml",
        "run",
        "--trials",
        "1",
        "--folds",
        "3",
        "--mlflow-uri",
        f"sqlite:///{store}/mlflow.db",
    )
    assert done.returncode == 0, done.stdout
    return open_run(store, run_id(done.stdout)), rows


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def address(store, browser, tiny):
    """The app, which has shown the first model before the second is trained."""
    with app(store) as found:
        early = Visit(browser, found)
        early.open()
        assert early.page.get_by_text(f"Run {tiny[0].id}").count() == 1
        early.context.close()
        yield found


@pytest.fixture
def visit(browser, address, second):
    """A visit that must end without a fault."""
    made = Visit(browser, address)
    yield made
    made.context.close()
    assert made.faults == []


def test_a_model_trained_while_the_app_was_up_is_there_without_a_restart(visit, second):
    visit.open()
    assert visit.page.get_by_text(f"Run {second.id}").count() == 1


def metric(visit: Visit, label: str) -> str:
    return (
        visit.page.locator("[data-testid=stMetric]")
        .filter(has_text=label)
        .first.locator("[data-testid=stMetricValue]")
        .inner_text()
    )


def test_predict_what_if_and_the_change_that_turns_it(visit, second):
    visit.open()
    page = visit.page
    page.get_by_role("spinbutton", name="age (years)").fill("71")
    page.get_by_role("spinbutton", name="age (years)").press("Tab")
    page.get_by_role("button", name="Predict", exact=True).click()
    page.get_by_text("What would turn the decision").wait_for()
    visit.settle()
    shown = metric(visit, "Probability")
    bundle = from_bytes(*client.bundle_bytes(second))
    case = {c.name: c.typical for c in bundle.schema.columns if c.used} | {"age": 71}
    for column in bundle.schema.columns:
        if column.kind == "date" and column.used:
            case[column.name] = pd.Timestamp("1970-01-01") + pd.Timedelta(
                days=int(case[column.name])
            )
    wanted = bundle.score(pd.DataFrame([case])).iloc[0]
    assert shown == f"{wanted['probability']:.1%}"
    assert metric(visit, "Decision") == wanted["decision"]
    assert (
        page.get_by_text("prediction ").last.inner_text().startswith(f"Model TrainFlow/{second.id}")
    )
    visit.shot("predict")
    visit.choose("Column to change", "n_products")
    number = page.get_by_role("spinbutton", name="n_products").last
    number.fill("4")
    number.press("Enter")
    page.get_by_text("Probability then").wait_for()
    visit.settle()
    changed = bundle.score(pd.DataFrame([case | {"n_products": 4}])).iloc[0]
    assert metric(visit, "Probability then") == f"{changed['probability']:.1%}"
    visit.shot("what-if")


def test_a_file_goes_up_and_comes_back(visit, small_csv, tmp_path):
    table = pd.read_csv(small_csv, dtype="str").head(50)
    table.loc[3, "age"] = "very old"
    table.loc[4, "country"] = "=1+1"
    path = tmp_path / "new.csv"
    table.to_csv(path, index=False)
    visit.open("batch")
    visit.page.locator("input[type=file]").set_input_files(path)
    visit.page.get_by_text("Rows that could not be scored").wait_for()
    visit.settle()
    assert metric(visit, "Rows") == "50"
    assert metric(visit, "Not scored") == "1"
    visit.shot("batch")
    with visit.page.expect_download() as waiting:
        visit.page.get_by_role("button", name="CSV, for a spreadsheet").click()
    back = pd.read_csv(waiting.value.path(), dtype="str")
    assert len(back) == 50
    assert back["error"].iloc[3] == "age: 'very old' is not a number"
    assert back["country"].iloc[4] == "'=1+1"
    assert back["probability"].notna().sum() == 49
    assert back["prediction_id"].nunique() == 50


def test_two_models_side_by_side_and_the_address_keeps_the_choice(visit, tiny, second):
    visit.open(f"models?run={second.id}&with={tiny[0].id}&part=Curves")
    visit.page.get_by_text("Held-out, 95% interval").first.wait_for(state="attached")
    visit.settle()
    assert visit.page.locator("[data-testid=stVegaLiteChart]").count() == 4
    assert f"with={tiny[0].id}" in visit.page.url
    visit.shot("models")


def test_a_card_is_drawn_in_the_page_and_asks_nothing_of_the_network(visit, second):
    visit.open(f"models?run={second.id}&part=Cards&card=evaluation")
    frame = visit.page.frame_locator("iframe").first
    frame.get_by_text("Evaluation on held-out rows").wait_for()
    visit.settle()
    visit.shot("card")


@pytest.mark.parametrize("path", ["data", "decision"])
def test_the_other_pages_are_drawn(visit, path):
    visit.open(path)
    visit.page.locator(
        "[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg"
    ).first.wait_for()
    visit.settle()
    visit.shot(path)


def test_a_threshold_of_ones_own_reaches_predict(visit):
    visit.open("decision?miss=0.1")
    visit.page.get_by_role("button", name="Use this threshold during my visit").click()
    visit.settle()
    visit.page.get_by_role("link", name="Predict").click()
    visit.page.get_by_role("button", name="Predict", exact=True).wait_for()
    visit.settle()
    assert visit.page.get_by_text("Your threshold:").count() == 1


@pytest.mark.parametrize(
    "path", ["", "batch", "models", "data", "decision", "monitoring", "feedback"]
)
def test_a_narrow_screen_has_nothing_beyond_its_edge(browser, address, path):
    visit = Visit(browser, address, viewport={"width": 400, "height": 800})
    visit.open(path)
    wide = visit.page.evaluate("() => document.querySelector('[data-testid=stMain]').scrollWidth")
    visit.shot(f"narrow-{path or 'predict'}")
    visit.context.close()
    assert wide <= 400
    assert visit.faults == []


def test_dark_is_dark_and_light_is_light(browser, address):
    grounds = {}
    for scheme in ("light", "dark"):
        visit = Visit(browser, address, color_scheme=scheme)
        visit.open("data")
        visit.shot(f"data-{scheme}")
        grounds[scheme] = visit.page.evaluate(
            "() => getComputedStyle(document.querySelector('.stApp')).backgroundColor"
        )
        visit.context.close()
        assert visit.faults == []
    light, dark = (
        sum(map(int, g[4:-1].split(",")[:3])) for g in (grounds["light"], grounds["dark"])
    )
    assert light > 600
    assert dark < 200


def test_the_keyboard_alone_gets_a_prediction(visit):
    visit.open()
    visit.page.get_by_role("spinbutton", name="age (years)").focus()
    for _ in range(80):
        visit.page.keyboard.press("Tab")
        if visit.page.evaluate("() => document.activeElement.innerText") == "Predict":
            break
    visit.page.keyboard.press("Enter")
    visit.page.get_by_text("Probability").first.wait_for()


def test_every_control_has_a_name_for_screen_readers(visit):
    visit.open()
    unnamed = visit.page.evaluate("""() => [...document.querySelectorAll('input, select, textarea, button')]
        .filter(e => e.offsetParent && e.tabIndex >= 0 && !e.getAttribute('aria-label') && !e.innerText.trim() && !e.labels?.length
                     && !e.getAttribute('aria-labelledby') && !e.title && e.type !== 'hidden')
        .map(e => e.outerHTML.slice(0, 200))""")
    assert unnamed == []


def test_a_run_that_goes_on_shows_its_live_cards_and_they_move(visit, store, small_csv):
    flow = subprocess.Popen(
        command(
            "train.py",
            "run",
            "--data",
            small_csv,
            "--target",
            "churned",
            "--trials",
            "400",
            "--folds",
            "3",
            "--mlflow-uri",
            f"sqlite:///{store}/mlflow.db",
        ),
        cwd=store,
        env=environment(store),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output = ""
        while "trial 2/" not in output:
            output += flow.stdout.readline()
        visit.open(f"models?run={run_id(output)}&part=Cards")
        assert visit.page.get_by_text("This run is at the step").count() == 1
        frame = visit.page.frame_locator("iframe").first
        frame.get_by_text("Best so far").first.wait_for()
        seen = set()
        for _ in range(60):
            seen.add(frame.locator("body").inner_text())
            if len(seen) > 1:
                break
            visit.page.wait_for_timeout(500)
        visit.shot("live")
        assert len(seen) > 1
    finally:
        os.killpg(flow.pid, signal.SIGKILL)
        flow.wait(30)
        flow.stdout.close()


def test_names_and_texts_that_are_html_or_markdown_do_nothing(visit, hostile, tmp_path):
    run, rows = hostile
    page, alerts = visit.page, []
    page.on("dialog", lambda dialog: (alerts.append(dialog.message), dialog.dismiss()))
    visit.open(f"?model={run.id}")
    page.get_by_role("button", name="Predict", exact=True).click()
    page.get_by_text("What would turn the decision").wait_for()
    visit.settle()
    visit.shot("hostile")
    assert page.locator(ATTACKS).count() == 0
    path = tmp_path / "rows.csv"
    rows.assign(age=["<b>x</b>" + IMAGE, *rows["age"].astype("str").iloc[1:]]).head(30).to_csv(
        path, index=False
    )
    visit.open(f"batch?model={run.id}")
    page.locator("input[type=file]").set_input_files(path)
    page.get_by_text("Highest probabilities").wait_for()
    rows[["age", "member"]].to_csv(path, index=False)
    visit.open(f"batch?model={run.id}")
    page.locator("input[type=file]").set_input_files(path)
    page.get_by_text("does not fit the model").wait_for()
    for place in (
        f"decision?model={run.id}",
        f"data?model={run.id}",
        f"data?model={run.id}&view=All+columns",
        f"data?model={run.id}&view=Findings",
        f"models?run={run.id}",
        f"models?run={run.id}&part=Leaderboard",
        f"models?run={run.id}&part=Curves",
        f"models?run={run.id}&part=Cards&card=eda",
        f"models?run={run.id}&part=Cards&card=evaluation",
    ):
        visit.open(place)
        assert page.locator(ATTACKS).count() == 0, place
        page.wait_for_timeout(800)
    assert alerts == []


def test_the_app_listens_on_this_machine_only(address):
    port = f"{int(address.rsplit(':', 1)[1]):04X}"
    heard = [
        line.split()[1]
        for name in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
        if line.split()[3] == "0A" and line.split()[1].endswith(f":{port}")
    ]
    assert heard == [f"0100007F:{port}"]

"""The app in a real browser; a console error or a request to another host fails the test."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest

from fivefold.journal import database
from fivefold.lifecycle import promotion
from fivefold.model.bundle import from_bytes
from fivefold.tracking import client
from tests.support.browser import Visit, app, chromium
from tests.support.running import (
    NO_MLFLOW,
    TOO_SHORT,
    command,
    copy_runs,
    environment,
    open_run,
    run_id,
    table_options,
    train,
)
from tests.support.tables import mixed

pytestmark = pytest.mark.slow

EVIL = '<img src="http://elsewhere.test/x" onerror="alert(1)"><script>alert(2)</script>'
ATTACKS = 'img[src*=elsewhere], a[href^=javascript], a[href*="//elsewhere"], img[onerror]'
LINK = "[x](javascript:alert(1))"
IMAGE = "![x](http://elsewhere.test/y.png)"


@pytest.fixture(scope="module")
def datastore(store, tiny, second, tmp_path_factory) -> Path:
    """A datastore of its own: the app shows the newest run, whatever other tests train."""
    folder = tmp_path_factory.mktemp("browser")
    copy_runs(store, folder, tiny[0].id, second[0].id)
    open_run(folder, second[0].id)
    engine = database.open_journal(f"sqlite:///{folder}/journal.db")
    promotion.promote(engine, second[0].id, "ann", "a first one")
    engine.dispose()
    return folder


@pytest.fixture(scope="module")
def newest(datastore, second):
    """The newest run before `hostile` is trained."""
    return open_run(datastore, second[0].id)


@pytest.fixture(scope="module")
def hostile(datastore, address, newest, tmp_path_factory):
    """A run on a table whose names and texts are HTML and Markdown that would call home.

    It is trained while the app is up.
    """
    rows = mixed(600).rename(columns={"amount": EVIL, "region": LINK})
    rows[LINK] = rows[LINK].replace({"north": EVIL, "south": IMAGE})
    rows["left"] = rows["left"].replace({"yes": IMAGE, "no": "<b>no</b>"})
    folder = tmp_path_factory.mktemp("hostile")
    rows.to_csv(folder / "rows.csv", index=False)
    (folder / "scope.toml").write_text(
        f"""
title = '{EVIL}'
question = '{IMAGE}'
data = 'rows.csv'
[target]
column = 'left'
positive = '{IMAGE}'
positive_phrase = '{IMAGE}'
negative_phrase = '{EVIL}'
[columns]
changeable = ['shop', '{EVIL}']
[columns.help]
age = '{EVIL} {IMAGE}'
[columns.units]
age = '{IMAGE}'
"""
    )
    scope = ["--config", "scope", folder / "scope.toml"]
    run, _ = train(datastore, *scope, "run", *TOO_SHORT, *NO_MLFLOW)
    return run, rows


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def address(datastore, browser, newest):
    """The app, which has shown the newest model before another is trained."""
    with app(datastore) as running:
        early = Visit(browser, running)
        early.open()
        assert early.page.get_by_text(f"Run {newest.id}").count() == 1
        early.context.close()
        yield running


@pytest.fixture
def visit(browser, address):
    """A visit that must end without a fault."""
    visit = Visit(browser, address)
    yield visit
    visit.context.close()
    assert visit.faults == []


def metric(visit: Visit, label: str) -> str:
    return (
        visit.page.locator("[data-testid=stMetric]")
        .filter(has_text=label)
        .first.locator("[data-testid=stMetricValue]")
        .inner_text()
    )


def test_predict_and_what_if_give_the_probabilities_of_the_bundle(visit, newest):
    visit.open()
    page = visit.page
    page.get_by_role("spinbutton", name="age (years)").fill("71")
    page.get_by_role("spinbutton", name="age (years)").press("Tab")
    page.get_by_role("button", name="Predict", exact=True).click()
    page.get_by_text("What would turn the decision").wait_for()
    visit.settle()
    shown = metric(visit, "Probability")
    bundle = from_bytes(*client.bundle_bytes(newest))
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
        page.get_by_text("prediction ").last.inner_text().startswith(f"Model TrainFlow/{newest.id}")
    )
    visit.shot("predict")
    visit.choose("Column to change", "n_products")
    visit.settle()  # what is typed while the page is drawn anew can be lost
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


def test_two_models_side_by_side_and_the_address_keeps_the_choice(visit, tiny, newest):
    visit.open(f"models?run={newest.id}&with={tiny[0].id}&part=Curves")
    visit.page.get_by_text("Held-out, 95% interval").first.wait_for(state="attached")
    visit.settle()
    assert visit.page.locator("[data-testid=stVegaLiteChart]").count() == 4
    assert f"with={tiny[0].id}" in visit.page.url
    visit.shot("models")


def test_a_card_is_drawn_in_the_page_and_asks_nothing_of_the_network(visit, newest):
    visit.open(f"models?run={newest.id}&part=Cards&card=evaluation")
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


def test_a_visitors_threshold_reaches_predict(visit):
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
    unnamed = visit.page.evaluate("""() => {
        const controls = [...document.querySelectorAll('input, select, textarea, button')];
        const reached = e => e.offsetParent && e.tabIndex >= 0 && e.type !== 'hidden';
        const named = e => e.getAttribute('aria-label') || e.getAttribute('aria-labelledby')
            || e.innerText.trim() || e.labels?.length || e.title;
        const unnamed = controls.filter(e => reached(e) && !named(e));
        return unnamed.map(e => e.outerHTML.slice(0, 200));
    }""")
    assert unnamed == []


def test_a_run_that_goes_on_shows_its_live_cards_and_they_move(visit, datastore, small_csv):
    options = ["--trials", "400", "--folds", "3", *NO_MLFLOW]
    flow = subprocess.Popen(
        command("train.py", "run", *table_options(small_csv), *options),
        cwd=datastore,
        env=environment(datastore),
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
        card = frame.locator("body")
        first = card.inner_text()
        deadline = time.monotonic() + 120
        while card.inner_text() == first and time.monotonic() < deadline:
            visit.page.wait_for_timeout(200)
        visit.shot("live")
        assert card.inner_text() != first
    finally:
        os.killpg(flow.pid, signal.SIGKILL)
        flow.wait(120)
        flow.stdout.close()


def test_a_model_trained_while_the_app_was_up_is_there_without_a_restart(visit, hostile):
    visit.open()
    assert visit.page.get_by_text(f"Run {hostile[0].id}").count() == 1


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
    file = tmp_path / "rows.csv"
    ages = ["<b>x</b>" + IMAGE, *rows["age"].astype("str").iloc[1:]]
    rows.assign(age=ages).head(30).to_csv(file, index=False)
    visit.open(f"batch?model={run.id}")
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_text("Highest probabilities").wait_for()
    rows[["age", "member"]].to_csv(file, index=False)
    visit.open(f"batch?model={run.id}")
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_text("does not fit the model").wait_for()
    for path in (
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
        visit.open(path)
        assert page.locator(ATTACKS).count() == 0, path
        visit.settle()
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

"""The form of a schema: right widgets and values, whatever the columns are called or hold."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from fivefold.model import case as cases
from fivefold.model import explain
from fivefold.model.evaluation import Evaluation, Importance
from tests.support.models import bundle_of, changed

ROWS = 40


def show(bundle, model: str = "TrainFlow/1"):
    """The page of a form; what was sent is left in the session's state."""
    import dataclasses

    import streamlit as st

    from fivefold.model.metadata import Provenance
    from frontend.widgets import form

    metadata = dataclasses.replace(
        bundle.metadata, provenance=Provenance(st.session_state.get("other", model))
    )
    sent = form.case_form(dataclasses.replace(bundle, metadata=metadata))
    if sent is not None:
        st.session_state["sent"] = sent


def opened(bundle) -> AppTest:
    app = AppTest.from_function(show, args=(bundle,), default_timeout=30).run()
    assert not app.exception
    return app


def send(app: AppTest) -> dict:
    app.button[0].click().run()
    assert not app.exception
    return app.session_state["sent"]


def frame(**columns) -> pd.DataFrame:
    base = {"n": np.arange(ROWS) % 7 + 0.5}
    return pd.DataFrame(
        {
            **base,
            **{
                k: pd.Series(v, dtype="str") if isinstance(v[0], str) or v[0] is None else v
                for k, v in columns.items()
            },
        }
    )


def half(x):
    return np.full(len(x), 0.5)


def test_a_level_called_unknown_is_not_the_same_as_unknown():
    bundle = bundle_of(frame(edu=(["unknown", "basic", None, "unknown"] * 10)), half)
    app = opened(bundle)
    assert send(app)["edu"] == "unknown"
    app.selectbox[0].select(
        next(o for o in app.selectbox[0].options if o not in ("unknown", "basic"))
    )
    assert send(app)["edu"] is None


def test_dates_of_another_century_can_be_entered():
    old = pd.to_datetime("1850-01-01") + pd.to_timedelta(np.arange(ROWS) * 30, unit="D")
    bundle = bundle_of(frame().assign(born=old), half)
    sent = send(opened(bundle))
    assert sent["born"].startswith("185")
    assert bundle.score(cases.raw_table(sent, bundle.schema))["error"].iloc[0] == ""


def test_what_was_typed_for_one_model_is_not_sent_to_another():
    app = opened(bundle_of(frame(town=["Ulm", "Bonn"] * 20), half))
    app.number_input[0].set_value(3.25)
    app.session_state["other"] = "TrainFlow/2"
    app.button[0].click().run()
    assert "sent" not in app.session_state
    assert "TrainFlow/2" in app.info[0].value


def test_the_form_keeps_its_answers_when_a_visitor_looks_at_another_model_and_comes_back():
    app = opened(bundle_of(frame(), half))
    app.number_input[0].set_value(3.25)
    assert send(app)["n"] == 3.25
    app.session_state["other"] = "TrainFlow/2"
    app.run()
    assert app.number_input[0].value != 3.25
    app.session_state["other"] = "TrainFlow/1"
    app.run()
    assert app.number_input[0].value == 3.25


def test_names_with_markdown_are_shown_as_they_are():
    app = opened(bundle_of(frame().rename(columns={"n": "*[n](javascript:x)*"}), half))
    assert app.number_input[0].label == r"\*\[n\](javascript\:x)\*"


def test_many_columns_show_the_important_ones_first():
    wide = pd.DataFrame({f"c{i:02d}": np.arange(ROWS) % (i + 5) + 0.5 for i in range(30)})
    evaluation = Evaluation(importance=[Importance("c29", 0.2, 0.0)])
    bundle = changed(bundle_of(wide, half), evaluation=evaluation)
    app = opened(bundle)
    assert app.number_input[0].label == "c29"
    assert len(app.number_input) == 30
    assert list(send(app)) == list(wide.columns)


@pytest.mark.parametrize("typed", [" p ", "p", "p\t"])
def test_spaces_around_a_text_change_neither_the_score_nor_its_reasons(typed):
    bundle = bundle_of(frame(c=["p", "q"] * 20), lambda x: np.where(x["c"] == "p", 0.9, 0.1))
    case = {"n": 1.5, "c": typed}
    assert bundle.score(cases.raw_table(case, bundle.schema))["probability"].iloc[
        0
    ] == pytest.approx(0.9)
    assert explain.explain(bundle, case).probability == pytest.approx(0.9)


@pytest.mark.parametrize(
    "spelling", [["Yes", "YES", "n"], ["yes", "Yes", "no"], ["on", "off", "ON"]]
)
def test_declared_yes_no_columns_score_and_explain_every_spelling_alike(spelling):
    bundle = bundle_of(
        frame(flag=(spelling * 14)[:ROWS]),
        lambda x: 0.1 + 0.8 * (x["flag"] == 1),
        kinds={"flag": "boolean"},
    )
    column = bundle.schema["flag"]
    assert len({level.lower() for level in column.levels}) == 2
    for level in column.levels:
        case = {"n": 1.5, "flag": level}
        assert explain.explain(bundle, case).probability == pytest.approx(
            bundle.score(cases.raw_table(case, bundle.schema))["probability"].iloc[0]
        )

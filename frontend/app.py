"""The app: a prediction for one case, from the latest finished run. `make app`, or `streamlit run frontend/app.py`."""

import sys
from pathlib import Path

import pandas as pd
import streamlit as st

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from lib import runs, settings
from lib.bundle import Bundle, from_bytes
from lib.findings import Refused
from lib.schema import Column

UNKNOWN = "unknown"


@st.cache_data(ttl=5, show_spinner=False)
def latest() -> str:
    """The id of the latest finished run; asked again after five seconds, so that a new run is picked up."""
    return runs.find_run().id


@st.cache_resource(max_entries=3, show_spinner="Loading the model ...")
def model(run_id: str) -> Bundle:
    """The run's bundle, loaded only after its sha256 has been checked."""
    return from_bytes(*runs.bundle_of(runs.find_run(run_id)))


def ask(column: Column, scope: dict):
    """A widget for one input column, prefilled with its typical value; None stands for unknown."""
    label = column.name + (f" ({unit})" if (unit := scope["units"].get(column.name)) else "")
    text = scope["help"].get(column.name)
    if column.kind == "numeric":
        step = 1.0 if column.integer else None
        return st.number_input(label, value=column.typical, step=step, help=text, placeholder=UNKNOWN,
                               format="%.0f" if column.integer else None)
    if column.kind == "date":
        typical = pd.Timestamp("1970-01-01") + pd.Timedelta(days=column.typical or 0)
        return st.date_input(label, value=typical, min_value="1900-01-01", max_value="2100-12-31", help=text)
    if column.kind in ("categorical", "boolean"):
        levels = list(column.levels)
        start = levels.index(column.typical) if column.typical in levels else None
        return st.selectbox(label, levels, index=start, help=text, placeholder=UNKNOWN,
                            accept_new_options=column.kind == "categorical")
    return st.text_area(label, help=text) or None


def main() -> None:
    """Ask for one case and answer with probability, decision and doubts."""
    st.set_page_config(page_title="Fivefold", layout="centered")
    try:
        bundle = model(latest())
    except Refused as refused:
        st.title("Fivefold")
        st.info("No model yet. Type this first, then reload the page:")
        st.code("python flows/train.py run", language="bash")
        st.text(str(refused))
        return
    scope, source, auc = bundle.about["scope"], bundle.about["provenance"], bundle.about["evaluation"]["auc"]
    st.title(scope["title"] or f"Predict {scope['target']}")
    st.text(scope["question"])
    with st.form("case"):
        columns = [c for c in bundle.schema.columns if c.used]
        sides = st.columns(2)
        answers = {}
        for number, column in enumerate(columns):
            with sides[number % 2]:
                answers[column.name] = ask(column, scope)
        asked = st.form_submit_button("Predict", type="primary")
    if asked:
        show(bundle, pd.DataFrame([answers]).convert_dtypes())
    st.caption(f"Model {source['pathspec']}, held-out ROC AUC {auc['value']:.3f} "
               f"({auc['low']:.3f} to {auc['high']:.3f})")


def show(bundle: Bundle, case: pd.DataFrame) -> None:
    """The answer for one case."""
    try:
        answer = bundle.score(case).iloc[0]
    except Refused as refused:
        st.error("This case cannot be scored.")
        st.text(str(refused))
        return
    if answer["error"]:
        st.error("This case cannot be scored.")
        st.text(answer["error"])
        return
    left, right = st.columns(2)
    left.metric("Probability", f"{answer['probability']:.1%}")
    right.metric("Decision", answer["decision"], help=f"at {bundle.about['threshold']['value']:.1%} or more: "
                 f"{bundle.about['phrases'][1]}; {bundle.about['threshold']['why']}")
    for doubt in filter(None, answer["warnings"].split("; ")):
        st.text(f"⚠ {doubt}")


settings.prepare(ROOT)
main()

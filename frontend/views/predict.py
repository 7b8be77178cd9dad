"""Predict: one case, its probability, decision and reasons, and what another value would change."""

from __future__ import annotations

import time
import uuid
from typing import Any

import pandas as pd
import streamlit as st

from fivefold.charts import prediction
from fivefold.core.findings import Refused
from fivefold.journal.writer import NotKept
from fivefold.model import case as cases
from fivefold.model import counterfactual, explain
from fivefold.model.bundle import Bundle
from fivefold.model.explain import Explanation
from fivefold.serving.served_model import ServedModel
from frontend.data import predictions
from frontend.widgets import error_guard, form, model_choice
from frontend.widgets.drawing import draw
from frontend.widgets.plain_text import plain, shown

API = "http://127.0.0.1:8000/predict"
NEEDED = "a value is needed; training never saw it missing"


def main() -> None:
    model = model_choice.model()
    bundle = model.bundle
    scope = bundle.metadata.scope
    st.title(plain(scope.title or f"Predict {scope.target}"))
    if scope.question:
        st.text(scope.question)
    left, right = st.columns([3, 2], gap="large")
    with left:
        asked = form.case_form(bundle)
        if asked is not None:
            st.session_state[predictions.ANSWER] = answer(model, asked)
    told = st.session_state.get(predictions.ANSWER)
    with right:
        if told and told["model"] == model.pathspec:
            now = bundle.metadata.threshold.value
            then = (
                bundle
                if now == told["threshold"]["value"]
                else bundle.with_threshold(**told["threshold"])
            )
            show(then, told, now)
        else:
            st.info(
                "The form holds a typical case. Change what you know and press Predict.",
                icon=":material/arrow_back:",
            )


def answer(model: ServedModel, case: dict[str, Any]) -> dict[str, Any]:
    """What is shown at once of one case, after it was recorded: {model, id, case, gaps, threshold, where} and, without
    gaps, what `Bundle.score` says of it. What could not be recorded is not answered: `lost` says why.
    """
    bundle, number, began = model.bundle, str(uuid.uuid4()), time.perf_counter()
    told: dict[str, Any] = {
        "model": model.pathspec,
        "id": number,
        "case": case,
        "gaps": form.gaps(bundle, case),
        "threshold": {k: getattr(bundle.metadata.threshold, k) for k in ("value", "why")},
        "where": "",
    }
    if told["gaps"]:
        scores = pd.DataFrame(
            [
                {
                    "probability": float("nan"),
                    "decision": "",
                    "warnings": "",
                    "error": "; ".join(f"{name}: {NEEDED}" for name in told["gaps"]),
                }
            ]
        )
    else:
        scores = bundle.score(cases.raw_table(case, bundle.schema))
    took = 1000 * (time.perf_counter() - began)
    rows = cases.request_body(case, bundle.schema)["rows"]  # as a program would send them
    try:
        told["where"] = predictions.keep(model, rows, scores, [number], took)
    except NotKept as lost:
        return told | {"lost": str(lost)}
    return (
        told
        if told["gaps"]
        else told | {str(name): value for name, value in scores.iloc[0].items()}
    )


def reasons(bundle: Bundle, case: dict[str, Any]) -> Explanation | Refused:
    try:
        return explain.explain(bundle, case)
    except Refused as refused:
        return refused


def show(bundle: Bundle, told: dict[str, Any], now: float) -> None:
    """The answer at the threshold it was given at, its reasons, what would turn it, and how a program asks for it.

    `now`: the threshold that counts now.
    """
    if "lost" in told:
        predictions.tell_lost(told["lost"])
        return
    if told["gaps"]:
        st.error(
            "A value is needed; training never saw these columns missing:", icon=":material/error:"
        )
        st.text(", ".join(told["gaps"]))
        return
    if told["error"]:
        st.error("This case cannot be scored.", icon=":material/error:")
        st.text(told["error"])
        return
    threshold = bundle.metadata.threshold
    said = bundle.metadata.outcomes.of(threshold.is_positive(told["probability"]))
    one, two = st.columns(2)
    one.metric(
        "Probability",
        f"{told['probability']:.1%}",
        border=True,
        help=plain(
            f"Calibrated: of cases like it about that share {bundle.metadata.outcomes.positive}."
        ),
    )
    two.metric(
        "Decision",
        plain(said),
        border=True,
        help=plain(
            f"{bundle.metadata.outcomes.positive!r} at {threshold.value:.1%} or more: {threshold.why}"
        ),
    )
    if now != threshold.value:
        st.info(
            f"Decided at {threshold.value:.1%}. The threshold is {now:.1%} now: press Predict to decide by it.",
            icon=":material/autorenew:",
        )
    for doubt in filter(None, told["warnings"].split("; ")):
        st.warning(plain(doubt), icon=":material/warning:")
    reference = bundle.metadata.reference
    below = counterfactual.share_below(reference.scores, told["probability"])
    st.text(f"Higher than {below:.0%} of {reference.scored:,} training rows.")
    draw(
        prediction.standing(reference.scores, told["probability"], threshold.value),
        "How the training rows score, and where this case stands",
    )
    if (
        "why" not in told
    ):  # after the answer is on the screen; kept, so that a redrawing costs nothing
        told |= {"why": reasons(bundle, told["case"])}
    if isinstance(told["why"], Refused):
        error_guard.show_refusal(told["why"])
    else:
        show_reasons(told["why"])
        what_if(bundle, told)
    show_flips(bundle, told)
    with st.expander("Ask for the same from a program", icon=":material/code:"):
        body = cases.request_body(told["case"], bundle.schema)
        st.caption("For the REST API, once one runs at this address.")
        st.code(cases.curl(body, API), language="bash", wrap_lines=True)
        st.code(cases.python(body, API), language="python", wrap_lines=True)
    st.caption(
        f"Model {told['model']} · prediction {told['id']}{predictions.WAITS if told['where'] == 'spool' else ''}"
    )


def show_reasons(why: Explanation, before: Explanation | None = None) -> None:
    draw(
        prediction.reasons(why.records(), before.records() if before else None),
        "Contribution of each column to the probability, in percentage points",
    )
    st.caption(
        f"{why.rows} training rows average {why.base:.1%}; that and all contributions add up to "
        f"{why.probability:.1%}. They say how the model reckons, not what causes what."
    )
    with st.expander("The same as a table"):
        st.dataframe(
            pd.DataFrame(
                [
                    {
                        "Column": line.column,
                        "Value": shown(line.value),
                        "Points": 100 * line.contribution,
                    }
                    for line in why.largest_first()
                ]
            ),
            hide_index=True,
            column_config={"Points": st.column_config.NumberColumn(format="%+.1f")},
        )


@st.fragment
def what_if(bundle: Bundle, told: dict[str, Any]) -> None:
    """Another value for one column: the probability and the reasons move. A part that is redrawn by itself."""
    error_guard.guard(lambda: _what_if(bundle, told))


def _what_if(bundle: Bundle, told: dict[str, Any]) -> None:
    st.subheader("What if")
    name = st.selectbox(
        "Column to change", bundle.schema.names(), key=f"what {told['id']}", format_func=str
    )
    value = form.ask(bundle, bundle.schema[name], f"if {told['id']} {name}", told["case"][name])
    if value == told["case"][name]:
        st.caption("Change the value to see what moves.")
        return
    case = {**told["case"], name: value}
    if form.gaps(bundle, {name: value}):
        st.error(
            "A value is needed; training never saw this column missing.", icon=":material/error:"
        )
        return
    scored = bundle.score(cases.raw_table(case, bundle.schema)).iloc[0]
    if scored["error"]:
        st.error("That value cannot be scored.", icon=":material/error:")
        st.text(scored["error"])
        return
    one, two = st.columns(2)
    one.metric(
        "Probability then",
        f"{scored['probability']:.1%}",
        border=True,
        delta=f"{100 * (scored['probability'] - told['probability']):+.1f} points",
        delta_color="off",
    )
    two.metric("Decision then", plain(scored["decision"]), border=True)
    for doubt in filter(None, scored["warnings"].split("; ")):
        st.warning(plain(doubt), icon=":material/warning:")
    show_reasons(explain.explain(bundle, case), told["why"])


def show_flips(bundle: Bundle, told: dict[str, Any]) -> None:
    """The smallest single changes that turn the decision, among the columns that may change."""
    st.subheader("What would turn the decision")
    if not counterfactual.changeable(bundle):
        st.caption(
            "The scope names no columns that may change. Name them in its file and train again:"
        )
        st.code('[columns]\nchangeable = ["…"]', language="toml")
        return
    found = told.setdefault("flips", {})
    limit = bundle.metadata.threshold.value
    if limit not in found:
        found[limit] = counterfactual.counterfactuals(bundle, told["case"])
    if not found[limit]:
        st.caption(
            "None of the values tried (percentiles and levels of training), one column at a time, among those "
            "that may change: " + plain(", ".join(counterfactual.changeable(bundle))) + "."
        )
        return
    st.dataframe(
        pd.DataFrame(
            [
                {
                    "Column": line.column,
                    "Now": shown(line.now),
                    "To": str(line.to),
                    "Probability": 100 * line.probability,
                }
                for line in found[limit]
            ]
        ),
        hide_index=True,
        column_config={"Probability": st.column_config.NumberColumn(format="%.1f %%")},
    )
    st.caption(
        "The smallest change among the values tried (percentiles and levels of training), all other columns as "
        "they are. It says what the model would answer, not what would happen."
    )


main()

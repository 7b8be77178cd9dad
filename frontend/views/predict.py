"""Predict: one case, its probability, decision and reasons, and what another value would change."""

from __future__ import annotations

import streamlit as st

from fivefold.charts import prediction
from fivefold.core.findings import Refused
from fivefold.model import case as cases
from fivefold.model.bundle import Bundle
from fivefold.model.counterfactual import changeable, share_below
from fivefold.model.explain import Explanation, explain
from fivefold.model.input_warnings import InputWarning
from frontend.data import answers, predictions
from frontend.data.answers import Answer
from frontend.widgets import error_guard, form, model_choice
from frontend.widgets.drawing import boxes, draw, table
from frontend.widgets.plain_text import plain, shown

API = "http://127.0.0.1:8000/predict"


def main() -> None:
    model = model_choice.model()
    scope = model.bundle.metadata.scope
    st.title(plain(scope.title or f"Predict {scope.target}"))
    if scope.question:
        st.text(scope.question)
    left, right = st.columns([3, 2], gap="large")
    with left:
        case = form.case_form(model.bundle)
        if case is not None:
            answers.ask(model, case, form.gaps(model.bundle, case))
    answer = answers.last()
    with right:
        if answer and answer.model == model.pathspec:
            show(answer, model.bundle.metadata.threshold.value)
        else:
            st.info(
                "The form holds a typical case. Change what you know and press Predict.",
                icon=":material/arrow_back:",
            )


def show(answer: Answer, threshold_now: float) -> None:
    """Show an answer, its reasons, what would turn it, and how a program asks for it."""
    if answer.lost:
        predictions.tell_lost(answer.lost)
        return
    if answer.missing:
        st.error(
            "A value is needed; training never saw these columns missing:", icon=":material/error:"
        )
        st.text(", ".join(answer.missing))
        return
    if answer.error:
        st.error("This case cannot be scored.", icon=":material/error:")
        st.text(answer.error)
        return
    show_decision(answer, threshold_now)
    if answer.control:
        st.info(
            "This case is one of the control share: leave it alone, whatever is predicted. The "
            "model is judged on such cases.",
            icon=":material/back_hand:",
        )
    show_warnings(answer.warnings)
    show_standing(answer)
    # Reasons take a moment: the answer is on the screen before.
    if isinstance(answer.explanation, Refused):
        error_guard.show_refusal(answer.explanation)
    else:
        show_reasons(answer.explanation)
        what_if(answer)
    show_counterfactuals(answer)
    with st.expander("Ask for the same from a program", icon=":material/code:"):
        body = cases.request_body(answer.case, answer.bundle.schema)
        st.caption("For the REST API, once one runs at this address.")
        st.code(cases.curl(body, API), language="bash", wrap_lines=True)
        st.code(cases.python(body, API), language="python", wrap_lines=True)
    waits = predictions.WAITS if answer.where == "spool" else ""
    st.caption(f"Model {answer.model} · prediction {answer.id}{waits}")


def show_decision(answer: Answer, threshold_now: float) -> None:
    metadata = answer.bundle.metadata
    positive, threshold = metadata.outcomes.positive, metadata.threshold
    calibrated = plain(f"Calibrated: of cases like it about that share {positive}.")
    rule = plain(f"{positive!r} at {threshold.value:.1%} or more: {threshold.why}")
    boxes(
        ("Probability", f"{answer.probability:.1%}", calibrated),
        ("Decision", plain(answer.decision), rule),
    )
    if threshold_now != threshold.value:
        st.info(
            f"Decided at {threshold.value:.1%}. The threshold is {threshold_now:.1%} now: "
            "press Predict to decide by it.",
            icon=":material/autorenew:",
        )


def show_warnings(warnings: list[InputWarning]) -> None:
    for warning in warnings:
        for message in warning.messages():
            st.warning(plain(f"{warning.column}: {message}"), icon=":material/warning:")


def show_standing(answer: Answer) -> None:
    """Show where the case stands among the training rows."""
    metadata = answer.bundle.metadata
    reference = metadata.reference
    below = share_below(reference.scores, answer.probability)
    st.text(f"Higher than {below:.0%} of {reference.scored:,} training rows.")
    draw(
        prediction.standing(reference.scores, answer.probability, metadata.threshold.value),
        "Probabilities of the training rows, and where this case stands",
    )


def show_reasons(reasons: Explanation, before: Explanation | None = None) -> None:
    """Show the contributions of the columns, beside those before a change."""
    earlier = before.records() if before else None
    draw(
        prediction.reasons(reasons.records(), earlier),
        "Contribution of each column to the probability, in percentage points",
    )
    st.caption(
        f"{reasons.rows} training rows average {reasons.base:.1%}; that and all contributions add "
        f"up to {reasons.probability:.1%}. They explain the model, not what causes what."
    )
    rows = []
    for line in reasons.largest_first():
        points = 100 * line.contribution
        rows.append({"Column": line.column, "Value": shown(line.value), "Points": points})
    with st.expander("The same as a table"):
        table(rows, {"Points": "%+.1f"})


@st.fragment
def what_if(answer: Answer) -> None:
    """Let one column take another value; only this part of the page is drawn again."""
    error_guard.guard(lambda: _what_if(answer, answer.bundle))


def _what_if(answer: Answer, bundle: Bundle) -> None:
    st.subheader("What if")
    name = st.selectbox(
        "Column to change", bundle.schema.names(), key=f"what {answer.id}", format_func=str
    )
    before = answer.case[name]
    value = form.ask(bundle, bundle.schema[name], f"if {answer.id} {name}", before)
    if value == before:
        st.caption("Change the value to see what moves.")
        return
    if form.gaps(bundle, {name: value}):
        st.error(
            "A value is needed; training never saw this column missing.", icon=":material/error:"
        )
        return
    case = {**answer.case, name: value}
    assessment = bundle.assess(cases.raw_table(case, bundle.schema))
    score = assessment.scores.iloc[0]
    if score["error"]:
        st.error("That value cannot be scored.", icon=":material/error:")
        st.text(score["error"])
        return
    left, right = st.columns(2)
    change = 100 * (score["probability"] - answer.probability)
    left.metric(
        "Probability then",
        f"{score['probability']:.1%}",
        border=True,
        delta=f"{change:+.1f} points",
        delta_color="off",
    )
    right.metric("Decision then", plain(score["decision"]), border=True)
    show_warnings(assessment.warnings)
    if isinstance(answer.explanation, Explanation):
        show_reasons(explain(bundle, case), answer.explanation)


def show_counterfactuals(answer: Answer) -> None:
    """Show the smallest single changes that turn the decision, among columns that may change."""
    st.subheader("What would turn the decision")
    columns = changeable(answer.bundle)
    if not columns:
        st.caption(
            "The scope names no columns that may change. Name them in its file and train again:"
        )
        st.code('[columns]\nchangeable = ["…"]', language="toml")
        return
    if not answer.counterfactuals:
        st.caption(
            "None of the values tried (percentiles and levels of training), one column at a time, "
            f"among those that may change: {plain(', '.join(columns))}."
        )
        return
    rows = []
    for line in answer.counterfactuals:
        row = {"Column": line.column, "Now": shown(line.now), "To": str(line.to)}
        rows.append({**row, "Probability": 100 * line.probability})
    table(rows, {"Probability": "%.1f %%"})
    st.caption(
        "The smallest change among the values tried (percentiles and levels of training), all "
        "other columns as they are. It says what the model would answer, not what would happen."
    )


main()

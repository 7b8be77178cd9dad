"""Decision: the threshold that given costs ask for and what it means; who is served, and decisions about it."""

from __future__ import annotations

import streamlit as st

from fivefold.charts import prediction
from fivefold.core.intervals import Estimate
from fivefold.model.threshold import Costs, choose_threshold, consequences, cost_curve
from frontend.data import runs
from frontend.widgets import decisions, error_guard, model_choice
from frontend.widgets.address import slide
from frontend.widgets.drawing import draw
from frontend.widgets.plain_text import plain


def main() -> None:
    problem = model_choice.problem()
    error_guard.guard(lambda: costs(problem))
    st.divider()
    error_guard.guard(
        lambda: decisions.panel(problem)
    )  # also where the model cannot be loaded: then it is needed most


def costs(problem: str) -> None:
    """Costs in, threshold and consequences out."""
    run_id, shown = model_choice.run_id(), model_choice.shared_model()
    bundle = shown.bundle
    scope, trained = bundle.metadata.scope, bundle.metadata.threshold
    y, q = runs.training_scores(run_id)
    outcomes = bundle.metadata.outcomes
    negative, positive = outcomes.negative, outcomes.positive
    st.title("What mistakes cost")
    st.text("Move the costs and see from which probability on it pays to act.")
    left, right = st.columns([2, 3], gap="large")
    with left:
        miss = _cost(
            "Cost of a miss",
            "miss",
            run_id,
            scope.cost_miss,
            plain(f"A case that {positive} and was not acted upon."),
        )
        alarm = _cost(
            "Cost of a false alarm",
            "alarm",
            run_id,
            scope.cost_false_alarm,
            plain(f"A case that {negative} and was acted upon."),
        )
        whole = 100 * (scope.capacity or 1.0)
        capacity = (
            slide(
                "Capacity: largest share that can be acted upon",
                min(0.1, whole),
                100.0,
                whole,
                "share",
                run_id,
                step=0.1,
                format="%.1f%%",
            )
            / 100
        )
        priced = Costs(miss, alarm, capacity if capacity < 1 else None)
        chosen = choose_threshold(y, q, priced)
        told = consequences(y, q, chosen, priced)
        act = f"{chosen.value:.1%} or more" if chosen.value < 1 else "nobody"
        st.metric("Act at a probability of", act, border=True, help=plain(chosen.why))
        st.caption(
            f"{'Everybody acts at' if shown.promotion else 'The model was given'} {trained.value:.1%}. For the "
            "costs at the sliders, perfectly calibrated probabilities and no limit of capacity it would be "
            f"{chosen.theory:.1%} (Elkan 2001)."
        )
        st.button(
            "Use this threshold during my visit",
            type="primary",
            on_click=model_choice.keep_threshold,
            args=(
                run_id,
                {"value": chosen.value, "why": f"set by this visitor: {chosen.why}"},
            ),
            help="Predict and Batch decide by it until you close or reload the page. Nobody else is affected.",
            width="stretch",
        )
        with st.expander("For everybody", icon=":material/group:"):
            error_guard.guard(lambda: decisions.threshold(problem, shown.pathspec, chosen.value))
    with right:
        draw(
            prediction.cost(cost_curve(y, q, priced).records(), chosen.value, trained.value),
            "Expected cost per 1,000 cases by threshold",
        )
        st.subheader("Of 1,000 cases")
        per = told.confusion.per(1000)
        st.table(
            {
                "": ["acted upon", "left alone"],
                plain(f"{positive}"): [f"{per['tp']:,.0f}", f"{per['fn']:,.0f} (missed)"],
                plain(f"{negative}"): [f"{per['fp']:,.0f} (false alarms)", f"{per['tn']:,.0f}"],
            }
        )
        one, two, three = st.columns(3)
        one.metric("Cost per 1,000", f"{told.cost_per_1000:,.6g}", border=True)
        two.metric("Acting on nobody", f"{told.nobody_per_1000:,.6g}", border=True)
        three.metric("Acting on everybody", f"{told.everybody_per_1000:,.6g}", border=True)
        st.text(
            "\n".join(
                (
                    f"Recall {_share(told.recall)}: of those who {positive}, so many are acted upon",
                    f"Precision {_share(told.precision)}: of those acted upon, so many {positive}",
                    f"Acted upon {_share(told.flagged)} of all",
                )
            )
        )
    counts = told.confusion
    st.caption(
        f"Reckoned on {len(y):,} training rows, each scored by a model that had not seen it: "
        f"{counts.tp:,} hits, {counts.fp:,} false alarms, {counts.fn:,} misses, {counts.tn:,} "
        "rightly left alone; 95% intervals by Wilson. Costs are in the unit of the sliders. The held-out rows "
        "have no part in it, so that their figures stay honest; the best of many thresholds flatters itself a "
        "little on the rows that chose it."
    )


def _cost(label: str, key: str, run_id: str, start: float, text: str) -> float:
    """A cost, from nothing to ten times the scope's, in the scope's unit."""
    most = max(10.0, 10 * start)
    return slide(
        label, 0.0, most, float(start), key, run_id, step=most / 100, help=text, format="%.6g"
    )


def _share(found: Estimate) -> str:
    if found.value is None:
        return "– (nobody)"
    return f"{found.value:.1%} ({found.low:.1%} to {found.high:.1%})"


main()

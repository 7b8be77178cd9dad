"""Decision: the threshold that given costs ask for, what it means, and what is served."""

from __future__ import annotations

import streamlit as st

from fivefold.charts import prediction
from fivefold.core.intervals import Estimate
from fivefold.model.metadata import Outcomes
from fivefold.model.threshold import (
    Consequences,
    Costs,
    Threshold,
    choose_threshold,
    consequences,
    cost_curve,
)
from fivefold.serving.served_model import ServedModel
from frontend.data import runs
from frontend.widgets import decisions, error_guard, model_choice
from frontend.widgets.address import slide
from frontend.widgets.drawing import boxes, draw
from frontend.widgets.plain_text import plain


def main() -> None:
    problem = model_choice.problem()
    error_guard.guard(lambda: costs(problem))
    st.divider()
    # Also where the model cannot be loaded: then a decision is needed most.
    error_guard.guard(lambda: decisions.panel(problem))


def costs(problem: str) -> None:
    """Let the visitor state costs; show the threshold and its consequences."""
    run_id, model = model_choice.run_id(), model_choice.shared_model()
    metadata = model.bundle.metadata
    y, probability = runs.training_scores(run_id)
    st.title("What mistakes cost")
    st.text("Move the costs and see from which probability on it pays to act.")
    left, right = st.columns([2, 3], gap="large")
    with left:
        stated = _ask_costs(run_id, Costs.of(metadata.scope), metadata.outcomes)
        chosen = choose_threshold(y, probability, stated)
        _show_threshold(model, chosen)
        _offer_threshold(problem, run_id, model, chosen)
    result = consequences(y, probability, chosen, stated)
    with right:
        curve = cost_curve(y, probability, stated)
        draw(
            prediction.cost(curve, chosen.value, metadata.threshold.value),
            "Expected cost per 1,000 cases by threshold",
        )
        _show_consequences(result, metadata.outcomes)
    counts = result.confusion
    st.caption(
        f"Calculated on {len(y):,} training rows, each scored by a model that had not seen it: "
        f"{counts.tp:,} hits, {counts.fp:,} false alarms, {counts.fn:,} misses, {counts.tn:,} "
        "rightly left alone; 95% intervals by Wilson. Costs are in the unit of the sliders. The "
        "held-out rows are not used, so that the evaluation stays honest. The threshold is best "
        "for calibrated probabilities; the lowest point of the curve follows noise."
    )


def _ask_costs(run_id: str, start: Costs, outcomes: Outcomes) -> Costs:
    missed = plain(f"A case that {outcomes.positive} and was not acted upon.")
    miss = _cost("Cost of a miss", "miss", run_id, start.miss, missed)
    alarmed = plain(f"A case that {outcomes.negative} and was acted upon.")
    false_alarm = _cost("Cost of a false alarm", "alarm", run_id, start.false_alarm, alarmed)
    largest = 100 * (start.capacity or 1.0)
    percent = slide(
        "Capacity: largest share that can be acted upon",
        min(0.1, largest),
        100.0,
        largest,
        "share",
        run_id,
        step=0.1,
        format="%.1f%%",
    )
    return Costs(miss, false_alarm, percent / 100 if percent < 100 else None)


def _cost(label: str, key: str, run_id: str, start: float, text: str) -> float:
    """Ask for a cost, from nothing to ten times the scope's, in the scope's unit."""
    most = max(10.0, 10 * start)
    return slide(
        label, 0.0, most, float(start), key, run_id, step=most / 100, help=text, format="%.6g"
    )


def _show_threshold(model: ServedModel, chosen: Threshold) -> None:
    act = f"{chosen.value:.1%} or more" if chosen.value < 1 else "nobody"
    st.metric("Act at a probability of", act, border=True, help=plain(chosen.why))
    now = "Everybody acts at" if model.promotion else "The model was given"
    st.caption(
        f"{now} {model.bundle.metadata.threshold.value:.1%}. For the costs at the sliders, "
        "perfectly calibrated probabilities and no limit of capacity it would be "
        f"{chosen.theory:.1%} (Elkan 2001)."
    )


def _offer_threshold(problem: str, run_id: str, model: ServedModel, chosen: Threshold) -> None:
    own = {"value": chosen.value, "why": f"set by this visitor: {chosen.why}"}
    st.button(
        "Use this threshold during my visit",
        type="primary",
        on_click=model_choice.keep_threshold,
        args=(run_id, own),
        help="Predict and Batch decide by it until you close or reload the page. "
        "Nobody else is affected.",
        width="stretch",
    )
    with st.expander("For everybody", icon=":material/group:"):
        error_guard.guard(lambda: decisions.threshold(problem, model.pathspec, chosen.value))


def _show_consequences(result: Consequences, outcomes: Outcomes) -> None:
    st.subheader("Of 1,000 cases")
    per_1000 = result.confusion.per(1000)
    st.table(
        {
            "": ["acted upon", "left alone"],
            plain(outcomes.positive): [f"{per_1000['tp']:,.0f}", f"{per_1000['fn']:,.0f} (missed)"],
            plain(outcomes.negative): [
                f"{per_1000['fp']:,.0f} (false alarms)",
                f"{per_1000['tn']:,.0f}",
            ],
        }
    )
    boxes(
        ("Cost per 1,000", f"{result.cost_per_1000:,.6g}"),
        ("Acting on nobody", f"{result.nobody_per_1000:,.6g}"),
        ("Acting on everybody", f"{result.everybody_per_1000:,.6g}"),
    )
    positive = outcomes.positive
    lines = (
        f"Recall {_share(result.recall)}: of those who {positive}, so many are acted upon",
        f"Precision {_share(result.precision)}: of those acted upon, so many {positive}",
        f"Acted upon {_share(result.flagged)} of all",
    )
    st.text("\n".join(lines))


def _share(share: Estimate) -> str:
    if share.value is None:
        return "– (nobody)"
    return f"{share.value:.1%} ({share.low:.1%} to {share.high:.1%})"


main()

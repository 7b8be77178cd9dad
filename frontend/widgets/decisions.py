"""Decisions: the served model, and the actions on its threshold, rollback and challenger.

Each decision counts for what the person saw: if another model or threshold was put in force in the
meantime, nothing is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from fivefold.core.findings import Refused, refusal
from fivefold.journal import promotions
from fivefold.journal.promotions import Promotion
from fivefold.lifecycle import decisions, promotion_mirror
from fivefold.lifecycle.challenge import Challenge, Stratum
from frontend.data import served_model
from frontend.widgets import error_guard, model_choice, signature
from frontend.widgets.drawing import WHEN, table
from frontend.widgets.plain_text import plain

if TYPE_CHECKING:
    from sqlalchemy import Engine


ROOT = Path(__file__).resolve().parents[2]
DONE = "decision_done"  # session state: what was decided, to be shown once
WORDS = {
    promotions.PROMOTED: "Promoted",
    promotions.ROLLED_BACK: "Rolled back",
    promotions.THRESHOLD: "Threshold changed",
    promotions.KEPT: "Kept out",
    promotions.WAITING: "Waits for a decision",
    promotions.DECLINED: "Declined",
    promotions.OVERTAKEN: "Overtaken, no change",
}


def panel(problem: str) -> None:
    """Show what is served, all decisions so far, and those that a person may take."""
    st.header("What is served")
    _show_result()
    record = served_model.promotions_of(problem)
    in_force = record.in_force
    if in_force is None:
        text = f"No model of {problem} is promoted. Promote a run with:"
        st.info(plain(text), icon=":material/info:")
        st.code("python flows/promote.py promote RUN", language="bash")
    else:
        st.text(
            f"{in_force.model}, acting at {in_force.threshold:.1%} or more, "
            f"since {in_force.at:%Y-%m-%d %H:%M} UTC"
        )
    if record.waiting:
        _challenger(problem, record.waiting)
    if record.history:
        st.subheader("All decisions")
        columns = {
            "When (UTC)": WHEN,
            "Threshold": "%.1f %%",
            "Why": st.column_config.TextColumn(width="large"),
        }
        table(_history_rows(record.history, in_force), columns)
    if in_force:
        _rollback(problem, in_force, record.earlier)


def threshold(problem: str, model: str, value: float) -> None:
    """Show the form that makes a threshold everybody's; only for the model that is served."""
    in_force = served_model.promotions_of(problem).in_force
    if in_force is None or in_force.model != model:
        st.caption("This model is not the served one, so its threshold counts for nobody else.")
        return
    if value == in_force.threshold:
        st.caption(
            f"Everybody acts at {value:.1%} or more already. Other costs give another threshold."
        )
        return
    with st.form("threshold for everybody"):
        st.text(
            f"Now everybody acts at {in_force.threshold:.1%} or more; "
            f"this would make it {value:.1%}."
        )
        why, who = signature.reason("threshold"), signature.name("threshold")
        sent = st.form_submit_button(
            "Use this threshold for everybody",
            width="stretch",
            help=f"API, app and batches act at {value:.1%} or more.",
        )
    if sent and signature.signed(who, why):
        _act(
            problem,
            in_force,
            lambda engine: decisions.change_threshold(engine, problem, value, who, why),
        )


def _show_result() -> None:
    """Show once what was decided on this page."""
    done = st.session_state.pop(DONE, None)
    if not done:
        return
    show = st.success if done["changed"] else st.warning
    show(plain(done["text"]))
    for warning in done["warnings"]:
        st.warning(plain(f"The decision is on record, but a mirror of it failed: {warning}"))


def _history_rows(history: Sequence[Promotion], in_force: Promotion | None) -> list[dict[str, Any]]:
    rows = []
    for promotion in history:
        is_served = in_force is not None and promotion.seq == in_force.seq
        row = {
            "": "in force" if is_served else "",
            "When (UTC)": promotion.at,
            "What": WORDS.get(promotion.action, promotion.action),
            "Model": promotion.model,
            "Threshold": 100 * promotion.threshold,
            "Who": promotion.who,
            "Why": promotion.why,
        }
        rows.append(row)
    return rows


def _rollback(problem: str, in_force: Promotion, earlier: Promotion | None) -> None:
    """Show the form that serves again what was served before."""
    with st.expander("Roll back", icon=":material/undo:"):
        if earlier is None:
            st.caption("Nothing else was served before.")
            return
        with st.form("rollback"):
            st.text(
                f"Back to {earlier.model}, acting at {earlier.threshold:.1%} or more, as "
                f"{earlier.who} set it on {earlier.at:%Y-%m-%d %H:%M} UTC"
            )
            why, who = signature.reason("rollback"), signature.name("rollback")
            sure = st.checkbox("Yes, serve this again, for everybody", key="rollback sure")
            sent = st.form_submit_button("Rollback")
        if sent and not sure:
            st.error("Tick the box to confirm.", icon=":material/error:")
        elif sent and signature.signed(who, why):
            _act(problem, in_force, lambda engine: decisions.roll_back(engine, problem, who, why))


def _challenger(problem: str, waiting: Promotion) -> None:
    """Show the challenger that waits, its comparison with the champion, and the two answers."""
    result = Challenge.from_dict(waiting.numbers)
    st.subheader("A new model waits for your decision")
    st.text(f"{waiting.model} against {result.champion or 'the served model'}: {waiting.why}")
    if result.gain:
        st.metric(
            "Gain in ROC AUC",
            f"{result.gain.value:+.4f}",
            border=True,
            width=320,
            help="Mean over the strata; DeLong's paired test on rows from which neither model "
            "learnt.",
        )
        st.caption(
            f"{100 * result.gain.level:.4g}% interval {result.gain.interval}; "
            f"required: its lower end above {result.gain.margin:g}"
        )
    if result.strata:
        table(_stratum_rows(result.strata))
    with st.expander("All checks of the comparison"):
        error_guard.show_findings(result.findings, codes=True)
    with st.form("challenger"):
        why, who = signature.reason("challenger"), signature.name("challenger")
        yes, no = st.columns(2)
        approved = yes.form_submit_button("Approve: serve it from now on", width="stretch")
        declined = no.form_submit_button("Decline", width="stretch")
    if (approved or declined) and signature.signed(who, why):
        _act(
            problem,
            waiting,
            lambda engine: decisions.decide(engine, problem, approved, who, why),
            promotions.waiting,
        )


def _stratum_rows(strata: Sequence[Stratum]) -> list[dict[str, Any]]:
    """Return the comparison on each kind of rows."""
    rows = []
    for stratum in strata:
        row = {
            "Rows from": stratum.name,
            "Rows": stratum.rows,
            "Positives": stratum.positives,
            "ROC AUC, served": f"{stratum.champion['value']:.4f}",
            "ROC AUC, new": f"{stratum.challenger['value']:.4f}",
            "Gain": str(stratum.gain),
            "Log-loss, new minus served": str(stratum.loss),
        }
        rows.append(row)
    return rows


def _act(
    problem: str,
    seen: Promotion,
    decide: Callable[[Engine], Promotion],
    look_up: Callable[[Engine, str], Promotion | None] = promotions.champion,
) -> None:
    """Decide if what `look_up` returns is still what was `seen`; then draw the page again."""

    def decide_if_unchanged(engine: Engine) -> Promotion:
        now = look_up(engine, problem)
        if now is None or now.seq != seen.seq:
            raise refusal(
                "Nothing was changed",
                code="overtaken",
                subject=problem,
                found="another decision was taken in the meantime",
                expected="the one that this page showed",
                action="look at what is served now, and decide again",
            )
        return decide(engine)

    try:
        decided = served_model.query(decide_if_unchanged)
    except Refused as refused:
        served_model.refresh()
        error_guard.show_refusal(refused)
        return
    served_model.refresh()
    text = f"{WORDS[decided.action]}: {decided.model}"
    if decided.action in promotions.EFFECTIVE:
        model_choice.drop_threshold()  # its author now looks at what was decided for everybody
        text += f", acting at {decided.threshold:.1%} or more. Servers follow within seconds."
    elif decided.action != promotions.DECLINED:
        text += f". {decided.why}"
    changed = decided.action in (*promotions.EFFECTIVE, promotions.DECLINED)
    warnings = _mirror(decided)
    st.session_state[DONE] = {"changed": changed, "text": text, "warnings": warnings}
    st.rerun()


def _mirror(promotion: Promotion) -> list[str]:
    """Let the tags of Metaflow and the aliases of MLflow follow; return what prevented it."""
    with st.spinner("On record. Metaflow's tags and MLflow's aliases follow …"):
        try:
            return served_model.query(promotion_mirror.mirror, promotion, ROOT)
        except Refused as refused:
            return [f.found for f in refused.findings]

"""Promoting: who is served and why, and what a person may decide about it: threshold, rollback, a waiting challenger.

Each decision counts for what the person saw: where something else is served meanwhile, nothing is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from fivefold.core.findings import ERROR, Finding, Refused, from_dicts
from fivefold.journal import promotions
from fivefold.lifecycle import decisions, promotion_mirror
from frontend.data import served_model
from frontend.widgets import error_guard, model_choice, signature
from frontend.widgets.plain_text import plain

ROOT = Path(__file__).resolve().parents[2]
DONE = "decision_done"  # session state: what was decided, to be told once
WORDS = {
    promotions.PROMOTED: "Promoted",
    promotions.ROLLED_BACK: "Rolled back",
    promotions.THRESHOLD: "Threshold changed",
    promotions.KEPT: "Kept out",
    promotions.WAITING: "Waits for a decision",
    promotions.DECLINED: "Declined",
    promotions.OVERTAKEN: "Overtaken, no change",
}
Line = Mapping[str, Any]


def panel(problem: str) -> None:
    """What is served, all decisions so far, and those that a person may take."""
    st.header("What is served")
    if done := st.session_state.pop(DONE, None):
        (st.success if done["changed"] else st.warning)(plain(done["text"]))
        for told in done["warnings"]:
            st.warning(plain(f"The record stands, but a mirror of it does not follow: {told}"))
    known = served_model.promotions_of(problem)
    held = known["held"]
    if held is None:
        st.info(
            plain(f"No model of {problem} is promoted. Promote a run by typing:"),
            icon=":material/info:",
        )
        st.code("python flows/promote.py promote RUN", language="bash")
    else:
        st.text(
            f"{held['model']}, acting at {held['threshold']:.1%} or more, since {held['at']:%Y-%m-%d %H:%M} UTC"
        )
    if known["waiting"]:
        challenger(problem, known["waiting"])
    if known["history"]:
        st.subheader("On record")
        st.dataframe(
            trail(known["history"], held),
            hide_index=True,
            column_config={
                "When (UTC)": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm"),
                "Threshold": st.column_config.NumberColumn(format="%.1f %%"),
                "Why": st.column_config.TextColumn(width="large"),
            },
        )
    if held:
        undo(problem, held, known["earlier"])


def trail(history: list[Line], held: Line | None) -> pd.DataFrame:
    """The audit trail, newest first."""
    return pd.DataFrame(
        [
            {
                "": "in force" if held and line["seq"] == held["seq"] else "",
                "When (UTC)": line["at"],
                "What": WORDS.get(line["action"], line["action"]),
                "Model": line["model"],
                "Threshold": 100 * line["threshold"],
                "Who": line["who"],
                "Why": line["why"],
            }
            for line in history
        ]
    )


def threshold(problem: str, model: str, value: float) -> None:
    """The form that makes a threshold everybody's; only for the model that is served."""
    held = served_model.promotions_of(problem)["held"]
    if held is None or held["model"] != model:
        st.caption(
            "This model is not the one that is served, so its threshold counts for nobody else."
        )
        return
    if value == held["threshold"]:
        st.caption(
            f"Everybody acts at {value:.1%} or more already. Other costs give another threshold."
        )
        return
    with st.form("threshold for everybody"):
        st.text(
            f"Now everybody acts at {held['threshold']:.1%} or more; this would make it {value:.1%}."
        )
        why, who = signature.reason("threshold"), signature.name("threshold")
        sent = st.form_submit_button(
            "Use this threshold for everybody",
            width="stretch",
            help=f"API, app and batches act at {value:.1%} or more.",
        )
    if sent and signature.signed(who, why):
        act(
            problem,
            held,
            lambda engine: decisions.change_threshold(engine, problem, value, who, why),
        )


def undo(problem: str, held: Line, earlier: Line | None) -> None:
    """The form that serves again what was served before."""
    with st.expander("Roll back", icon=":material/undo:"):
        if earlier is None:
            st.caption("Nothing else was served before.")
            return
        with st.form("rollback"):
            st.text(
                f"Back to {earlier['model']}, acting at {earlier['threshold']:.1%} or more, as "
                f"{earlier['who']} set it on {earlier['at']:%Y-%m-%d %H:%M} UTC"
            )
            why, who = signature.reason("rollback"), signature.name("rollback")
            sure = st.checkbox("Yes, serve this again, for everybody", key="rollback sure")
            sent = st.form_submit_button("Rollback")
        if sent and not sure:
            st.error("Tick the box to say that you mean it.", icon=":material/error:")
        elif sent and signature.signed(who, why):
            act(problem, held, lambda engine: decisions.roll_back(engine, problem, who, why))


def challenger(problem: str, line: Line) -> None:
    """The challenger that waits: its numbers, and yes or no."""
    numbers = line["numbers"]
    st.subheader("A new model waits for your decision")
    st.text(f"{line['model']} against {numbers.get('champion', 'the served model')}: {line['why']}")
    gain = numbers.get("gain")
    if gain:
        st.metric(
            "Gain in ROC AUC",
            f"{gain['value']:+.4f}",
            border=True,
            width=320,
            help="Mean over the strata; DeLong's paired test on rows that neither model learnt from.",
        )
        st.caption(
            f"95% interval {_interval(gain)}; wanted: its lower end above {gain.get('margin', 0):g}"
        )
    if numbers.get("strata"):
        st.dataframe(strata(numbers["strata"]), hide_index=True)
    with st.expander("All that was looked at"):
        error_guard.findings(from_dicts(numbers.get("findings", [])), codes=True)
    with st.form("challenger"):
        why, who = signature.reason("challenger"), signature.name("challenger")
        yes, no = st.columns(2)
        approved = yes.form_submit_button("Approve: serve it from now on", width="stretch")
        declined = no.form_submit_button("Decline", width="stretch")
    if (approved or declined) and signature.signed(who, why):
        act(
            problem,
            line,
            lambda engine: decisions.decide(engine, problem, approved, who, why),
            promotions.waiting,
        )


def strata(lines: list[Mapping[str, Any]]) -> pd.DataFrame:
    """The comparison on each kind of rows."""
    return pd.DataFrame(
        [
            {
                "Rows from": s["name"],
                "Rows": s["rows"],
                "Positives": s["positives"],
                "ROC AUC, served": f"{s['champion']['value']:.4f}",
                "ROC AUC, new": f"{s['challenger']['value']:.4f}",
                "Gain": f"{s['gain']['value']:+.4f} ({_interval(s['gain'])})",
                "Log-loss, new less served": f"{s['loss']['difference']:+.4f} ({_interval(s['loss'])})",
            }
            for s in lines
        ]
    )


def act(
    problem: str,
    seen: Line,
    do: Callable[[Any], dict[str, Any]],
    look: Callable[[Any, str], Line | None] = promotions.champion,
) -> None:
    """Decide, where what `look` finds is still what was `seen`; then draw the page anew and tell what came of it."""

    def checked(engine: Any) -> dict[str, Any]:
        now = look(engine, problem)
        if now is None or now["seq"] != seen["seq"]:
            raise Refused(
                "Nothing was changed",
                [
                    Finding(
                        code="overtaken",
                        severity=ERROR,
                        subject=problem,
                        found="another decision was taken meanwhile",
                        expected="the one that this page showed",
                        action="look at what is served now, and decide again",
                    )
                ],
            )
        return do(engine)

    try:
        line = served_model.query(checked)
    except Refused as refused:
        served_model.refresh()
        error_guard.tell(refused)
        return
    served_model.refresh()
    text = f"{WORDS[line['action']]}: {line['model']}"
    if line["action"] in promotions.EFFECTIVE:
        model_choice.drop_threshold()  # what was decided for everybody is what its author looks at
        text += f", acting at {line['threshold']:.1%} or more. Servers follow within seconds."
    elif line["action"] != promotions.DECLINED:
        text += f". {line['why']}"
    st.session_state[DONE] = {
        "changed": line["action"] in (*promotions.EFFECTIVE, promotions.DECLINED),
        "text": text,
        "warnings": mirrored(line),
    }
    st.rerun()


def mirrored(line: Line) -> list[str]:
    """Let the tags of Metaflow and the aliases of MLflow follow; what hindered them."""
    with st.spinner("On record. Metaflow's tags and MLflow's aliases follow …"):
        try:
            return served_model.query(promotion_mirror.mirror, line, ROOT)
        except Refused as refused:
            return [f.found for f in refused.findings]


def _interval(told: Mapping[str, float]) -> str:
    return f"{told['low']:+.4f} to {told['high']:+.4f}"

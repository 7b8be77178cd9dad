"""Models: all runs, one of them in full, two of them side by side."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from fivefold.charts import comparison, model
from fivefold.tracking import overview
from fivefold.tracking.client import CARDS
from fivefold.training.ensemble import gain_text, shares
from fivefold.training.leaderboard import title
from frontend.data import runs
from frontend.widgets import error_guard
from frontend.widgets.address import choose
from frontend.widgets.drawing import draw

STATES = (overview.FINISHED, overview.RUNNING, overview.FAILED, overview.STOPPED)
NONE = "none"


def main() -> None:
    st.title("Models")
    ids = runs.run_ids()
    if not ids:
        error_guard.no_model()
        return
    overviews = {run_id: runs.overview(run_id) for run_id in ids}
    listing(overviews)
    run_id = choose("Run", list(overviews), "run", lambda r: name(overviews[r]))
    state(overviews[run_id])
    part = st.segmented_control(
        "Show",
        list(PARTS),
        default="Facts",
        required=True,
        key="part",
        bind="query-params",
        label_visibility="collapsed",
    )
    PARTS[part or "Facts"](run_id, overviews)


def listing(overviews: dict[str, dict[str, Any]]) -> None:
    """The table of runs; a click on a heading sorts it."""
    left, right = st.columns([3, 2])
    words = left.text_input(
        "Find", key="find", placeholder="algorithm, data, title, user, commit", bind="query-params"
    )
    wanted = right.multiselect("State", STATES, key="state", placeholder="any", bind="query-params")
    rows = [
        row
        for row in map(table_row, overviews.values())
        if (not wanted or row["State"] in wanted)
        and all(word in " ".join(map(str, row.values())).lower() for word in words.lower().split())
    ]
    if not rows:
        st.info("No run fits. Change the words or the state.", icon=":material/search_off:")
        return
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        height=min(38 + 35 * len(rows), 320),
        column_config={
            "Started": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm"),
            "ROC AUC": st.column_config.NumberColumn(format="%.4f", help="On held-out rows"),
            "Minutes": st.column_config.NumberColumn(format="%.1f"),
        },
    )


def table_row(told: dict[str, Any]) -> dict[str, Any]:
    interval = "" if told["auc"] is None else f"{told['low']:.3f} to {told['high']:.3f}"
    return {
        "Run": told["run_id"],
        "State": told["status"],
        "Started": pd.Timestamp(told["started"]),
        "Problem": told["title"] or "",
        "Winner": title(told["algorithm"] or ""),
        "ROC AUC": told["auc"],
        "95%": interval,
        "Rows": told["rows"],
        "Minutes": (told["seconds"] or 0) / 60,
        "Data": (told["source"] or "").rsplit("/", 1)[-1],
        "Data md5": (told["md5"] or "")[:8],
        "Commit": (told["git_commit"] or "")[:8],
        "User": told["user"] or "",
    }


def state(told: dict[str, Any]) -> None:
    """What an unfinished run needs."""
    if told["status"] == overview.RUNNING:
        st.info(
            f"This run goes on: it is at the step {told['step']}. The cards of its searches are under Cards.",
            icon=":material/progress_activity:",
        )
    elif told["status"] != overview.FINISHED:
        what = "failed" if told["status"] == overview.FAILED else "gave no sign of life for a while"
        st.warning(
            f"This run {what} at the step {told['step']}. Nothing finished is lost; go on with:",
            icon=":material/warning:",
        )
        st.code(f"python flows/train.py resume --origin-run-id {told['run_id']}", language="bash")
        for step, text in runs.details(told["run_id"])["failed"].items():
            st.text(f"{step}: {text}")


def facts(run_id: str, overviews: dict[str, dict[str, Any]]) -> None:
    """Where the run came from, how it was asked for, and where its mirror is."""
    told = overviews[run_id]
    known = runs.details(told["run_id"])
    dirty = " (with uncommitted changes)" if told["git_dirty"] else ""
    lines = {
        "Run": f"TrainFlow/{told['run_id']}",
        "State": told["status"],
        "Started (UTC)": told["started"],
        "Ended (UTC)": told["ended"],
        "Duration": duration(told["seconds"]),
        "User": told["user"],
        "Data": told["source"],
        "Data version (md5)": told["md5"],
        "Rows": told["rows"],
        "Git commit": told["git_commit"] and told["git_commit"] + dirty,
    }
    winner = next((arm for arm in known["leaderboard"] or [] if arm["rank"] == 1), None)
    if winner:
        lines |= {f"{title(winner['algorithm'])}: {k}": v for k, v in winner["params"].items()}
    lines |= {
        f"Option --{k.replace('_', '-')}": v
        for k, v in (known["options"] or {}).items()
        if v not in ("", None)
    }
    st.dataframe(
        pd.DataFrame(
            [(k, str(v)) for k, v in lines.items() if v not in ("", None)], columns=["", "Value"]
        ),
        hide_index=True,
    )
    mirror = known["mlflow"] or {}
    if str(mirror.get("link", "")).startswith(("http://", "https://")):
        st.link_button("This run in MLflow", mirror["link"], icon=":material/open_in_new:")
    elif mirror.get("run_id"):
        st.caption(f"Mirrored in MLflow as run {mirror['run_id']}. To see it:")
        st.code(f"mlflow ui --backend-store-uri {mirror['uri']}", language="bash")


def leaderboard(run_id: str, overviews: dict[str, dict[str, Any]]) -> None:
    """The five algorithms of one run, and their blend."""
    known = runs.details(run_id)
    board, blend = known["leaderboard"], known.get("blend")
    if not board:
        st.info(
            "No leaderboard yet: the run has not passed the step select.", icon=":material/info:"
        )
        return
    names = {arm["algorithm"]: title(arm["algorithm"]) for arm in board}
    draw(model.leaderboard(board, names), "Cross-validated ROC AUC of the algorithms")
    st.dataframe(
        pd.DataFrame(
            [
                {
                    "Rank": arm["rank"],
                    "Algorithm": names[arm["algorithm"]],
                    "Mean ROC AUC": arm["auc_mean"],
                    "SD": arm["auc_std"],
                    "p against winner": arm["p_value"],
                    "Trials": len(arm["trials"]),
                    "Seconds": arm["seconds"],
                    "Note": arm["error"]
                    or (
                        "winner"
                        if arm["rank"] == 1
                        else "cannot be told from the winner"
                        if arm["indistinguishable"]
                        else ""
                    ),
                }
                for arm in board
            ]
        ),
        hide_index=True,
        column_config={
            "Mean ROC AUC": st.column_config.NumberColumn(format="%.4f"),
            "SD": st.column_config.NumberColumn(format="%.4f"),
            "p against winner": st.column_config.NumberColumn(format="%.2g"),
            "Seconds": st.column_config.NumberColumn(format="%.0f"),
        },
    )
    st.caption(
        "Means over the folds choose the winner. p: DeLong's paired test on the same rows, adjusted by Holm."
    )
    if blend:
        st.caption(
            f"Blend of {shares(blend['weights'])}: mean ROC AUC {blend['auc_mean']:.4f} ± "
            f"{blend['auc_std']:.4f}, gain over the winner {gain_text(blend)}, with its 95% interval, judged on "
            f"folds that had no part in its weights. Served: {blend['served']} ({blend['why']})"
            + (
                ", fitted once more with the held-out rows."
                if (blend.get("fits") or {}).get("refit")
                else "."
            )
        )


def curves(run_id: str, overviews: dict[str, dict[str, Any]]) -> None:
    """Curves of the chosen run on its held-out rows, and of another one over them."""
    others = [
        r for r, told in overviews.items() if told["status"] == overview.FINISHED and r != run_id
    ]
    other = choose(
        "Compare with", [NONE, *others], "with", lambda r: r if r == NONE else name(overviews[r])
    )
    chosen = [run_id] + ([other] if other != NONE else [])
    found = {
        f"{title(overviews[r]['algorithm'] or '')} {r[-6:]}": evaluation
        for r in chosen
        if (evaluation := runs.details(r)["evaluation"])
    }
    if not found:
        st.info("No curves yet: the run has not passed the step evaluate.", icon=":material/info:")
        return
    if len({tuple(overviews[r][k] for k in ("md5", "target", "positive")) for r in chosen}) > 1:
        st.warning(
            "The two runs had different data or targets: their figures do not compare.",
            icon=":material/warning:",
        )
    st.dataframe(
        pd.DataFrame(
            {
                label: {metric: _interval(value) for metric, value in e["metrics"].items()}
                for label, e in found.items()
            }
        )
        .rename_axis("Held-out, 95% interval")
        .reset_index(),
        hide_index=True,
    )
    drawn = (comparison.roc, comparison.precision_recall, comparison.calibration, comparison.lift)
    for start in (0, 2):
        for side, chart in zip(st.columns(2), drawn[start : start + 2], strict=True):
            draw(chart(found), (chart.__doc__ or "").split(".")[0], side)


def cards(run_id: str, overviews: dict[str, dict[str, Any]]) -> None:
    """One of the run's Metaflow cards; of a run that goes on it is redrawn every five seconds."""
    going = overviews[run_id]["status"] == overview.RUNNING
    arms = runs.arms(run_id)
    options = [*arms, *CARDS.values()] if going else [*CARDS.values(), *arms]
    chosen = choose("Card", options, "card", lambda n: title(n) if n in arms else n)
    st.fragment(embed, run_every=5 if going else None)(run_id, chosen)


def embed(run_id: str, chosen: str) -> None:
    """The card in a frame of its own, which loads nothing from the network."""

    def show() -> None:
        html = runs.card(run_id, chosen)
        if html is None:
            st.info(
                "This card is not there yet, or cannot be read.", icon=":material/hourglass_empty:"
            )
        else:
            st.iframe(html, height=900, alt=f"Metaflow card {chosen}")

    error_guard.guard(show)


def name(told: dict[str, Any]) -> str:
    """A run in one line."""
    auc = "" if told["auc"] is None else f" · ROC AUC {told['auc']:.4f}"
    winner = f" · {title(told['algorithm'])}" if told["algorithm"] else f" · {told['status']}"
    began = told["started"][:16].replace("T", " ")
    return f"{began} · {told['title'] or told['run_id']}{winner}{auc} · {told['run_id']}"


def duration(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def _interval(found: dict[str, float | None]) -> str:
    if found["value"] is None:
        return "–"
    return f"{found['value']:.4f} ({found['low']:.4f} to {found['high']:.4f})"


PARTS = {"Facts": facts, "Leaderboard": leaderboard, "Curves": curves, "Cards": cards}
main()

"""Models: all runs, one of them in full, two of them side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from fivefold.charts import comparison, model
from fivefold.tracking import overview
from fivefold.tracking.metaflow_cards import STEP_OF_CARD
from fivefold.tracking.mirror_outcome import FAILED, INTERRUPTED, RUNNING, MirrorResult
from fivefold.tracking.mlflow_mirror import is_server
from fivefold.tracking.overview import RunOverview
from fivefold.training.ensemble import Ensemble
from fivefold.training.leaderboard import title
from frontend.data import runs
from frontend.widgets import error_guard
from frontend.widgets.address import choose, choose_part
from frontend.widgets.drawing import WHEN, draw, table

NO_OTHER = "none"
Overviews = Mapping[str, RunOverview]  # by run id


def main() -> None:
    st.title("Models")
    run_ids = runs.run_ids()
    if not run_ids:
        error_guard.no_model()
        return
    overviews = {run_id: runs.overview(run_id) for run_id in run_ids}
    list_runs(overviews)
    run_id = choose("Run", run_ids, "run", lambda option: run_title(overviews[option]))
    explain_unfinished(overviews[run_id])
    choose_part(PARTS, "part")(run_id, overviews)


def list_runs(overviews: Overviews) -> None:
    """Show the table of runs that match the words and states asked for."""
    left, right = st.columns([3, 2])
    text = left.text_input(
        "Find", key="find", placeholder="algorithm, data, title, commit", bind="query-params"
    )
    states = right.multiselect(
        "State", overview.STATUSES, key="state", placeholder="any", bind="query-params"
    )
    words = text.lower().split()
    rows = []
    for run in overviews.values():
        row = table_row(run)
        row_text = " ".join(map(str, row.values())).lower()
        has_state = not states or run.status in states
        if has_state and all(word in row_text for word in words):
            rows.append(row)
    if not rows:
        st.info("No run fits. Change the words or the state.", icon=":material/search_off:")
        return
    formats = {
        "Started": WHEN,
        "ROC AUC": st.column_config.NumberColumn(format="%.4f", help="On held-out rows"),
        "Minutes": "%.1f",
    }
    table(rows, formats, 320)


def table_row(run: RunOverview) -> dict[str, Any]:
    """Return one row of the table of runs."""
    return {
        "Run": run.run_id,
        "State": run.status,
        "Started": pd.Timestamp(run.started),
        "Problem": run.title or "",
        "Winner": title(run.algorithm or ""),
        "ROC AUC": run.auc,
        "95%": "" if run.auc is None else f"{run.low:.3f} to {run.high:.3f}",
        "Caution": " ".join(run.cautions),
        "Rows": run.rows,
        "Minutes": run.seconds / 60,
        "Data": (run.source or "").rsplit("/", 1)[-1],
        "Data md5": (run.md5 or "")[:8],
        "Commit": (run.git_commit or "")[:8],
        "User": run.user or "",
    }


def explain_unfinished(run: RunOverview) -> None:
    """Say where an unfinished run is, and how to continue one that stopped."""
    if run.finished:
        return
    if run.status == overview.RUNNING:
        st.info(
            f"This run is at the step {run.step}. Its live cards are under Cards.",
            icon=":material/progress_activity:",
        )
        return
    failed = run.status == overview.FAILED
    what = "failed" if failed else "has shown no activity for a while; it was"
    st.warning(
        f"This run {what} at the step {run.step}. Finished steps are kept. To continue it:",
        icon=":material/warning:",
    )
    st.code(f"python flows/train.py resume --origin-run-id {run.run_id}", language="bash")
    for step, error in runs.details(run.run_id).failures.items():
        st.text(f"{step}: {error}")


def facts(run_id: str, overviews: Overviews) -> None:
    """Show where the run came from, its options, and where its mirror is."""
    run, details = overviews[run_id], runs.details(run_id)
    commit = (run.git_commit or "")[:12]
    if commit and run.git_dirty:
        commit += " (with uncommitted changes)"
    values = {
        "Run": f"TrainFlow/{run_id}",
        "State": run.status,
        "Started (UTC)": run.started,
        "Ended (UTC)": run.ended,
        "Duration": duration(run.seconds),
        "User": run.user,
        "Data": run.source,
        "Data version (md5)": run.md5,
        "Rows": run.rows,
        "Git commit": commit,
    }
    for row in details.leaderboard or []:
        if row["rank"] == 1:
            algorithm = title(row["algorithm"])
            values |= {f"{algorithm}: {name}": value for name, value in row["params"].items()}
    for name, value in (details.options or {}).items():
        values[f"Option --{name.replace('_', '-')}"] = value
    lines = [(name, str(value)) for name, value in values.items() if value not in ("", None)]
    table(pd.DataFrame(lines, columns=["", "Value"]))
    if run.finished:
        explain_mirror(run_id, runs.mirror(run_id))


def explain_mirror(run_id: str, mirrored: MirrorResult | None) -> None:
    """Say where the run is in MLflow, or why it is not there."""
    if mirrored is None:
        st.caption("Not mirrored to MLflow yet. To do it:")
        st.code(f"python flows/mirror.py --run-id {run_id}", language="bash")
    elif mirrored.status == RUNNING:
        st.info(
            f"This run is being mirrored to MLflow since {mirrored.started}.",
            icon=":material/progress_activity:",
        )
    elif mirrored.status in (FAILED, INTERRUPTED):
        st.warning("This run was not mirrored to MLflow.", icon=":material/warning:")
        st.text(mirrored.warning)
    elif is_server(mirrored.link):
        st.link_button("This run in MLflow", mirrored.link, icon=":material/open_in_new:")
    elif mirrored.run_id:
        st.caption(f"Mirrored in MLflow as run {mirrored.run_id}. To see it:")
        st.code(f"mlflow ui --backend-store-uri {mirrored.uri}", language="bash")


def leaderboard(run_id: str, overviews: Overviews) -> None:
    """Show the algorithms of one run, and their blend."""
    details = runs.details(run_id)
    board = details.leaderboard
    if not board:
        st.info(
            "No leaderboard yet: the run has not passed the step select.", icon=":material/info:"
        )
        return
    names = {row["algorithm"]: title(row["algorithm"]) for row in board}
    scores = []
    for row in board:
        if row["status"] == "ok":
            figures = row["auc_mean"], row["auc_std"], row["fold_scores"]
            name, standing = names[row["algorithm"]], (row["rank"], row["indistinguishable"])
            scores.append(model.ScoreRow(name, *standing, *figures))
    draw(model.leaderboard(scores), "Cross-validated ROC AUC of the algorithms")
    rows = [
        {
            "Rank": row["rank"],
            "Algorithm": names[row["algorithm"]],
            "Mean ROC AUC": row["auc_mean"],
            "SD": row["auc_std"],
            "p against winner": row["p_value"],
            "Trials": len(row["trials"]),
            "Seconds": row["seconds"],
            "Note": note(row),
        }
        for row in board
    ]
    formats = {
        "Mean ROC AUC": "%.4f",
        "SD": "%.4f",
        "p against winner": "%.2g",
        "Seconds": "%.0f",
    }
    table(rows, formats)
    st.caption(
        "The highest mean over the folds wins. p: DeLong's paired test on the same rows, adjusted "
        "by Holm."
    )
    if details.blend:
        st.caption(blend_text(details.blend))


def note(row: Mapping[str, Any]) -> str:
    """Return the note on an algorithm in the leaderboard."""
    if row["error"]:
        return str(row["error"])
    if row["rank"] == 1:
        return "winner"
    return "not distinguishable from the winner" if row["indistinguishable"] else ""


def blend_text(blend: Mapping[str, Any]) -> str:
    """Return the blend in two sentences: its figures, and which model is served and why."""
    ensemble = Ensemble.from_dict(blend)
    served = f"Served: {ensemble.served} ({ensemble.why})"
    if ensemble.plan.refit:
        served += ", fitted again with the held-out rows"
    return (
        f"Blend of {ensemble.shares}: mean ROC AUC {ensemble.auc_mean:.4f} ± "
        f"{ensemble.auc_std:.4f}, gain over the winner {ensemble.gain_text} (95% interval), "
        f"measured on folds that had no part in its weights. {served}."
    )


def curves(run_id: str, overviews: Overviews) -> None:
    """Show the curves of the run on its held-out rows, and those of another run over them."""
    others = [
        other_id for other_id, run in overviews.items() if run.finished and other_id != run_id
    ]
    other = choose(
        "Compare with",
        [NO_OTHER, *others],
        "with",
        lambda option: option if option == NO_OTHER else run_title(overviews[option]),
    )
    chosen = [overviews[run_id]]
    if other != NO_OTHER:
        chosen.append(overviews[other])
    evaluations = {}
    for run in chosen:
        evaluation = runs.details(run.run_id).evaluation
        if evaluation:
            evaluations[f"{title(run.algorithm or '')} {run.run_id[-6:]}"] = evaluation
    if not evaluations:
        st.info("No curves yet: the run has not passed the step evaluate.", icon=":material/info:")
        return
    if len({(run.md5, run.target, run.positive) for run in chosen}) > 1:
        st.warning(
            "The two runs had different data or targets. Do not compare their figures.",
            icon=":material/warning:",
        )
    metrics = {}
    for label, evaluation in evaluations.items():
        values = evaluation["metrics"].items()
        metrics[label] = {metric: interval(estimate) for metric, estimate in values}
    table(pd.DataFrame(metrics).rename_axis("Held-out, 95% interval").reset_index())
    charts = (comparison.roc, comparison.precision_recall, comparison.calibration, comparison.lift)
    columns = [*st.columns(2), *st.columns(2)]
    for column, chart in zip(columns, charts, strict=True):
        draw(chart(evaluations), (chart.__doc__ or "").split(".")[0], column)


def cards(run_id: str, overviews: Overviews) -> None:
    """Show a Metaflow card of the run; while it goes on it is drawn again every five seconds."""
    is_running = overviews[run_id].status == overview.RUNNING
    searches = runs.searches(run_id)
    options = [*searches, *STEP_OF_CARD] if is_running else [*STEP_OF_CARD, *searches]
    chosen = choose("Card", options, "card", lambda name: title(name) if name in searches else name)
    st.fragment(embed_card, run_every=5 if is_running else None)(run_id, chosen)


def embed_card(run_id: str, name: str) -> None:
    """Show a card in a frame of its own, which loads nothing from the network."""

    def show() -> None:
        html = runs.card(run_id, name)
        if html is None:
            st.info(
                "This card is not there yet, or cannot be read.", icon=":material/hourglass_empty:"
            )
        else:
            st.iframe(html, height=900, alt=f"Metaflow card {name}")

    error_guard.guard(show)


def run_title(run: RunOverview) -> str:
    """Return a run in one line."""
    started = run.started[:16].replace("T", " ")
    parts = [started, run.title or run.run_id, title(run.algorithm or "") or run.status]
    if run.auc is not None:
        doubtful = " (see the caution)" if run.cautions else ""
        parts.append(f"ROC AUC {run.auc:.4f}{doubtful}")
    return " · ".join([*parts, run.run_id])


def duration(seconds: float) -> str:
    """Return seconds as a person reads them."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def interval(estimate: Mapping[str, float | None]) -> str:
    """Return an estimate with its interval."""
    if estimate["value"] is None:
        return "–"
    return f"{estimate['value']:.4f} ({estimate['low']:.4f} to {estimate['high']:.4f})"


PARTS = {"Facts": facts, "Leaderboard": leaderboard, "Curves": curves, "Cards": cards}
main()

"""The report of the quality benchmark: systems by table, each half of the tables apart.

The unit is the table. Seeds are averaged first; means, ranks and intervals are over tables. Only
seeds count that every system has finished on a quiet machine, so all systems are compared on the
same splits. A run that failed counts as a ROC AUC of .5.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tests.support.halves import half

OURS = "fivefold"
FAILED_AUC = 0.5
FAR_BEHIND = 0.01  # ROC AUC
LATE = 1.05  # times the budget
COSTS = ["log_loss", "wall_s", "peak_mb", "row_ms", "rows_10k_ms"]
PAIR = ["table", "seed"]


def read_results(folder: Path, systems: Sequence[str]) -> pd.DataFrame:
    """Return the result of every run in FOLDER/TABLE/SEED/SYSTEM/result.json, one a row."""
    rows = []
    for path in sorted(folder.glob("*/*/*/result.json")):
        table, seed, system = path.parts[-4:-1]
        if system in systems:
            run = {"table": table, "seed": int(seed), "system": system}
            rows.append(run | json.loads(path.read_text()))
    columns = [*PAIR, "system", "auc", "failed", "busy", "best_auc", "code", *COSTS]
    results = pd.DataFrame(rows)
    results = results.reindex(columns=list(dict.fromkeys([*columns, *results])))
    for flag in ("failed", "busy"):
        results[flag] = results[flag].eq(True)
    return results


def counted(results: pd.DataFrame) -> pd.DataFrame:
    """Return the runs that count: all but those beside other work. Failed ones get AUC .5."""
    quiet = results[~results["busy"]]
    lost = quiet["failed"] | quiet["auc"].isna()
    return quiet.assign(failed=lost, auc=quiet["auc"].astype("float64").mask(lost, FAILED_AUC))


def in_common(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs of those (table, seed) pairs that every system of `runs` has."""
    systems = runs.groupby(PAIR)["system"].transform("nunique")
    return runs[systems == runs["system"].nunique()]


def by_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the ROC AUC of each table (rows) and system (columns), as means over the seeds."""
    return runs.pivot_table(index="table", columns="system", values="auc", aggfunc="mean")


def gaps(aucs: pd.DataFrame) -> pd.DataFrame:
    """Return how far each system is behind the best one, by table; 0 for the best."""
    return (-aucs).add(aucs.max(axis=1), axis=0)


def interval(differences: Iterable[float]) -> tuple[float, float, float]:
    """Return mean and 95% interval of paired differences, one a table (t distribution).

    The limits are NaN for fewer than two tables.
    """
    from scipy.stats import t

    values = np.array(list(differences), dtype="float64")
    mean = float(values.mean()) if len(values) else float("nan")
    if len(values) < 2:
        return mean, float("nan"), float("nan")
    error = values.std(ddof=1) / len(values) ** 0.5
    width = float(t.ppf(0.975, len(values) - 1) * error)
    return mean, mean - width, mean + width


def summary(runs: pd.DataFrame, budget: float) -> pd.DataFrame:
    """Return a row per system, in the order of mean rank.

    Columns: mean rank and ROC AUC over tables, largest gap to the best system and where, number of
    tables more than .01 behind, costs (means over tables), the longest run, and numbers of runs
    that failed and that were late.
    """
    aucs = by_table(runs)
    behind = gaps(aucs)
    table = pd.DataFrame(
        {
            "rank": aucs.rank(axis=1, ascending=False).mean(),
            "auc": aucs.mean(),
            "worst_gap": behind.max(),
            "worst_table": behind.idxmax(),
            "behind_.01": (behind > FAR_BEHIND).sum(),
        }
    )
    costs = runs.groupby(["system", "table"])[COSTS].mean().groupby("system").mean()
    costs["wall_max"] = runs.groupby("system")["wall_s"].max()
    counts = {"failed": runs["failed"], "late": is_late(runs, budget)}
    for name, flags in counts.items():
        costs[name] = flags.groupby(runs["system"]).sum()
    return table.join(costs).sort_values("rank")


def is_late(runs: pd.DataFrame, budget: float) -> pd.Series:
    """Return for each run whether it took more than the budget and 5%."""
    return runs["wall_s"] > LATE * budget


def comparison(aucs: pd.DataFrame, peer: str, ours: str = OURS) -> str:
    """Return the line on `ours` against one peer: mean difference over tables, 95%, who leads."""
    gain = aucs[ours] - aucs[peer]
    mean, low, high = interval(gain)
    ahead, behind, far = (gain > 0).sum(), (gain < 0).sum(), (gain < -FAR_BEHIND).sum()
    return (
        f"{ours} - {peer}: {mean:+.4f} (95% {low:+.4f} to {high:+.4f}), {len(gain)} tables: "
        f"ahead on {ahead}, behind on {behind}, by more than .01 on {far}"
    )


def report(results: pd.DataFrame, budget: int, halves: Sequence[str]) -> str:
    """Return the whole report on one budget, with a part for each half."""
    parts = []
    for name in halves:
        mine = results[results["table"].map(half) == name]
        parts.append(f"== {budget} s, half {name} ==\n{half_report(mine, budget)}")
    return "\n\n".join(parts)


def half_report(results: pd.DataFrame, budget: int) -> str:
    """Return the report on the tables of one half."""
    quiet = counted(results)
    runs = in_common(quiet)
    lines = [
        f"{runs['table'].nunique()} tables, {len(runs[PAIR].drop_duplicates())} pairs of table and "
        f"seed; {len(quiet) - len(runs)} runs left out because another system lacks theirs, "
        f"{int(results['busy'].sum())} because others used the machine (the next call repeats them)"
    ]
    if runs.empty:
        return lines[0]
    aucs = by_table(runs)
    lines.append(summary(runs, budget).round(4).to_string())
    shown = aucs.assign(best_known=runs.groupby("table")["best_auc"].mean())
    if OURS in aucs:
        shown[f"{OURS}_behind"] = gaps(aucs)[OURS]
    lines.append(shown.round(4).to_string(na_rep=""))
    if OURS in aucs:
        lines += [comparison(aucs, peer) for peer in aucs.columns if peer != OURS]
    marked = {
        "failed": quiet[quiet["failed"]],
        "late": quiet[is_late(quiet, budget)],
        "busy": results[results["busy"]],
    }
    for name, which in marked.items():
        if len(which):
            lines.append(f"{name}: {run_names(which)}")
    codes = sorted(results.loc[results["system"] == OURS, "code"].dropna().unique())
    if len(codes) > 1:
        lines.append(f"attention: {OURS}'s runs are of {len(codes)} commits: {', '.join(codes)}")
    return "\n".join(lines)


def run_names(runs: pd.DataFrame) -> str:
    """Return TABLE/SEED/SYSTEM (wall seconds) of the runs, comma-separated."""
    return ", ".join(
        f"{row.table}/{row.seed}/{row.system} ({row.wall_s:g} s)" for row in runs.itertuples()
    )

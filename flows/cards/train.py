"""Cards: plain dicts of `fivefold` as Metaflow card components.

Metaflow's Markdown executes HTML, so text that comes from data goes into table cells, value boxes and charts alone,
which escape it, or through `card_parts.code`. Markdown here is fixed text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from metaflow.cards import Markdown, Table, ValueBox

from cards import parts as part

ASSOCIATION = (
    "*Alone*: ROC AUC of the column's binned positive rate, cross-validated: the model's own measure, for "
    "every kind of column; at or below 0.5 it says nothing. *Its order*: ROC AUC of the values as they are "
    "(DeLong). *Bits*: mutual information. Cramér's V and bits are corrected for their bias."
)
COLUMNS = (
    "Strongest association first. Left chart: how the values of each class spread (blue: negative, orange: "
    "positive; each class sums to 100%). Right chart: positive rate with its 95% interval; dashed: the "
    "whole table."
)
FIDELITY = (
    "How close the drawn rows, which join the training folds, are to the real ones. *KS*, *TV*: largest "
    "difference of the distributions, 0 to 1; two samples of one distribution exceed *chance* once in twenty "
    "times. The copula is fitted to 70% of the rows; the two classifiers are scored on the other 30%."
)
OUTLIERS = (
    "Values beyond 1.5 interquartile ranges from the quartiles (Tukey 1977). A normal column has 0.7% of "
    "them. Look at them: they need not be errors."
)
CHOSEN = (
    "p: DeLong's paired test on the same out-of-fold rows, adjusted by Holm. These scores chose the winner, so they "
    "flatter it a little; the evaluation card shows rows that nothing was chosen on."
)


def eda_components(
    summary: Mapping[str, Any], changes: Mapping[str, Any] | None = None
) -> list[Any]:
    """Return the report on a table.

    `summary` of `fivefold.profiling.summary.summarise`; `changes`: {since, changes} of an earlier run.
    """
    from fivefold.charts import table

    overview, columns, trend = summary["overview"], summary["columns"], summary["trend"]
    ranking = summary["association"]["ranking"]
    words = part.class_words(summary["scope"])
    parts = [
        Markdown("# Data report"),
        *part.problem_table(summary["scope"]),
        *part.overview_boxes(summary),
        Markdown("## Findings"),
        *part.finding_tables(summary["findings"]),
    ]
    if changes:
        parts += [Markdown("## What changed"), *part.change_tables(changes)]
    if "fidelity" in summary:
        parts += [Markdown("## Synthetic rows"), Markdown(FIDELITY)]
        parts += part.fidelity_tables(summary["fidelity"])
    parts += [
        Markdown("## What goes with the target"),
        Markdown(ASSOCIATION),
        part.chart_part(table.association(ranking)),
        part.ranking_table(ranking),
    ]
    if trend and trend["period"]:
        parts += [Markdown("## Over time"), part.chart_part(table.trend(trend, words))]
    parts.append(Markdown("## Columns"))
    shown = [line["column"] for line in ranking[: part.MOST_COLUMNS]]
    if shown:
        rate = overview["positive_rate"]
        rows = [part.column_row(columns[name], rate, words) for name in shown]
        headers = ["Column", "Spread by class", "Positive rate", "In numbers"]
        parts += [Markdown(COLUMNS), Table(rows, headers=headers)]
    others = [column for name, column in columns.items() if name not in shown]
    if others:
        parts.append(part.other_columns(others))
    if overview["missing_cells"]:
        parts += [
            Markdown("## Missing cells"),
            part.chart_part(table.missing(columns)),
            part.missing_table(columns),
        ]
    if len(summary["correlation"]["columns"]) > 1:
        parts += [
            Markdown("## Correlations of numbers"),
            part.chart_part(table.correlation(summary["correlation"])),
            part.pair_table(summary),
        ]
    if any("outliers" in column for column in columns.values()):
        parts += [
            Markdown("## Outliers"),
            Markdown(OUTLIERS),
            part.chart_part(table.outliers(columns)),
            part.outlier_table(columns),
        ]
    return [
        *parts,
        Markdown("## Source"),
        part.source_table(summary),
        *part.note_table(summary["notes"]),
    ]


def leaderboard_components(
    board: Sequence[Mapping[str, Any]],
    winner: str,
    blend: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
) -> list[Any]:
    """Return the card that compares the algorithms.

    `board` comes from `fivefold.training.leaderboard.rank`, `winner` is one of its algorithms, and
    the blend comes from `fivefold.training.ensemble.blend`.
    """
    from fivefold.charts import model
    from fivefold.training.leaderboard import title

    best = next(a for a in board if a["algorithm"] == winner)
    close = [
        a
        for a in board
        if a["status"] == "ok" and a["indistinguishable"] and a["algorithm"] != winner
    ]
    names = {a["algorithm"]: title(a["algorithm"]) for a in board}
    failed = sum(a["status"] != "ok" for a in board)
    parts = [
        Markdown("# Leaderboard"),
        *part.box_rows(
            [
                ValueBox(
                    "Winner",
                    part.line_of(title(winner), 100),
                    "highest mean ROC AUC over the folds",
                    theme="success",
                ),
                ValueBox(
                    "ROC AUC",
                    f"{best['auc_mean']:.4f}",
                    f"± {best['auc_std']:.4f} between {len(best['fold_scores'])} folds",
                ),
                ValueBox(
                    "As good",
                    str(len(close)),
                    "cannot be told from the winner" if close else "none: it stands alone",
                ),
                ValueBox(
                    "Failed",
                    str(failed),
                    "algorithms without a result",
                    theme="danger" if failed else None,
                ),
            ]
        ),
        part.chart_part(model.leaderboard(board, names)),
        Table(
            [
                [
                    str(a["rank"] or "–"),
                    part.line_of(names[a["algorithm"]]),
                    part.auc_text(a["auc_mean"]),
                    part.auc_text(a["auc_std"]),
                    part.p_text(a, winner),
                    str(len(a["trials"])),
                    f"{a['seconds']:.0f}{part.GAP}s",
                    part.line_of(a["error"], 200)
                    if a["status"] != "ok"
                    else part.params_text(a["params"]),
                ]
                for a in board
            ],
            headers=[
                "Rank",
                "Algorithm",
                "Mean ROC AUC",
                "SD of folds",
                "p against winner",
                "Trials",
                "Time",
                "Parameters or error",
            ],
        ),
        Markdown(CHOSEN),
        *(part.blend_parts(blend) if blend else []),
        *part.note_table(notes),
    ]
    searched = [a for a in board if a["trials"]]
    if searched:
        parts += [
            Markdown("## Searches"),
            Markdown("Grey: given up early, placed by the folds that they finished."),
            *(part.chart_part(model.trials(a["trials"], names[a["algorithm"]])) for a in searched),
        ]
    return parts


def arm_components(candidate: Mapping[str, Any]) -> list[Any]:
    """Return the card of one finished search: a candidate of `fivefold.training.search.tune`."""
    from fivefold.charts import model
    from fivefold.training.leaderboard import title

    name = title(candidate["algorithm"])
    pruned = sum(t["state"] == "pruned" for t in candidate["trials"])
    return [
        *part.box_rows(
            [
                ValueBox(
                    "Algorithm", part.line_of(name, 100), f"{candidate['seconds']:.0f} s of search"
                ),
                ValueBox(
                    "Mean ROC AUC",
                    part.auc_text(candidate["auc_mean"]),
                    f"SD of the folds {part.auc_text(candidate['auc_std'])}",
                ),
                ValueBox("Trials", str(len(candidate["trials"])), f"{pruned} given up early"),
            ]
        ),
        part.chart_part(model.trials(candidate["trials"], name)),
        *part.setting_parts(candidate),
    ]

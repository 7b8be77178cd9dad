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
IMPORTANCE = (
    "Columns that stand in for each other share their importance: neither looks important alone. Of more than 70 "
    "columns those are asked that go most with the model's answers."
)
REFITTED = (
    "These figures are those of the model fitted without the held-out rows. What is **served** was then fitted once "
    "more with the same settings on {rows:,} labelled rows, the held-out ones among them, and cannot be judged on "
    "those: the figures are an estimate for it, a little on the low side. `--refit no` serves the judged model itself."
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
    """The comparison of the algorithms: `board` of `fivefold.training.leaderboard.rank`, `winner` an algorithm of it, and what
    `fivefold.training.ensemble.blend` found.
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


def evaluation_components(
    evaluation: Mapping[str, Any], bundle_card: Mapping[str, Any]
) -> list[Any]:
    """The winner on held-out rows: `evaluation` of `fivefold.model.evaluation.evaluate`, `bundle_card` a bundle's `about`."""
    from fivefold.charts import model as charts
    from fivefold.training.leaderboard import title

    auc, c, threshold = evaluation["auc"], evaluation["confusion"], evaluation["threshold"]
    negative, positive = bundle_card.get("phrases") or ("negative", "positive")
    scope = bundle_card.get("scope") or {}
    words, positives, rows = (str(negative), str(positive)), c["tp"] + c["fn"], sum(c.values())
    name = title(str(bundle_card.get("algorithm", "model")))
    all_rows, used = bundle_card.get("rows_training", 0), bundle_card.get("rows_fitted", 0)
    fitted = f"all {all_rows:,}" if used == all_rows else f"{used:,} of {all_rows:,}"
    again = (bundle_card.get("refit") or {}).get("rows")
    parts = [
        Markdown("# Evaluation on held-out rows"),
        *part.problem_table(scope),
        *part.box_rows(
            [
                ValueBox(
                    "ROC AUC",
                    f"{auc['value']:.4f}",
                    f"95% interval {auc['low']:.4f} to {auc['high']:.4f}",
                    theme="success",
                ),
                ValueBox(
                    "Model",
                    part.line_of(name, 100),
                    part.line_of(
                        f"refitted on {fitted} training rows, calibrated: "
                        f"{(bundle_card.get('calibration') or {}).get('method', 'unknown')}",
                        300,
                    ),
                ),
                ValueBox(
                    "Held-out rows",
                    f"{rows:,}",
                    f"{positives:,} positive ({part.percent(positives / rows if rows else None)})",
                ),
                ValueBox(
                    "Threshold",
                    f"{threshold['value']:.3f}",
                    part.line_of(threshold.get("why") or "chosen on training rows", 300),
                ),
            ]
        ),
    ]
    if again:
        parts.append(Markdown(REFITTED.format(rows=again)))
    if evaluation.get("findings"):
        parts += part.finding_tables(evaluation["findings"])
    parts += [
        Markdown("## Measures"),
        _metric_table(evaluation["metrics"]),
        Markdown("## At the threshold"),
        part.chart_part(charts.confusion(c, words)),
        Markdown("## Curves"),
        Markdown("Cross and dashed upright line: the chosen threshold."),
        *part.side_by_side(
            [
                charts.roc(evaluation),
                charts.precision_recall(evaluation),
                charts.calibration(evaluation),
                charts.gain(evaluation, scope.get("capacity")),
            ]
        ),
        part.chart_part(charts.cost(evaluation)),
    ]
    if evaluation.get("baselines"):
        parts += [
            Markdown("## Compared with"),
            part.chart_part(charts.baselines(evaluation, name)),
            _baseline_table(evaluation["baselines"]),
        ]
    if evaluation.get("importance"):
        parts += [
            Markdown("## What the model uses"),
            part.chart_part(charts.importance(evaluation["importance"])),
            Markdown(IMPORTANCE),
        ]
    if evaluation.get("segments"):
        parts += [Markdown("## Groups"), _segment_table(evaluation["segments"])]
    if features := bundle_card.get("features"):
        parts += [Markdown("## Features"), *part.feature_tables(features)]
    if len(members := bundle_card.get("members") or []) > 1:
        parts += [
            Markdown("## What is averaged"),
            Table(
                [
                    [
                        part.line_of(title(m["algorithm"])),
                        part.percent(m["weight"]),
                        f"{m['rows_fitted']:,}",
                        part.params_text(m["params"]),
                    ]
                    for m in members
                ],
                headers=["Algorithm", "Weight", "Rows", "Parameters"],
            ),
        ]
    alone = (
        {}
        if len(members) > 1
        else {
            "parameters": part.params_text(bundle_card.get("params") or {}),
            "rounds": bundle_card.get("rounds"),
        }
    )
    return [
        *parts,
        Markdown("## Provenance"),
        part.fact_table({**alone, **(bundle_card.get("provenance") or {})}),
    ]


def arm_components(candidate: Mapping[str, Any]) -> list[Any]:
    """The finished search of one algorithm: a candidate of `fivefold.training.search.tune`."""
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


def _metric_table(metrics: Mapping[str, Any]) -> Any:
    rows = []
    for name, found in metrics.items():
        if not isinstance(found, Mapping):
            found = {"value": found, "low": None, "high": None}
        low, high = part.number_text(found["low"]), part.number_text(found["high"])
        told = "–" if found["low"] is None else f"{low} to {high}"
        rows.append([part.line_of(name.replace("_", " ")), part.number_text(found["value"]), told])
    return Table(rows or [["–"] * 3], headers=["Measure", "Value", "95% interval"])


def _baseline_table(lines: Sequence[Mapping[str, Any]]) -> Any:
    return Table(
        [
            [
                part.line_of(b["name"]),
                f"{part.auc_text(b['auc'])} ({part.auc_text(b['low'])} to {part.auc_text(b['high'])})",
                "–" if b.get("gain") is None else f"{b['gain']:+.4f}",
                "–" if b.get("p_value") is None else f"{b['p_value']:.2g}",
            ]
            for b in lines
        ],
        headers=["Other", "ROC AUC (95%)", "Ours minus theirs", "p (DeLong)"],
    )


def _segment_table(lines: Sequence[Mapping[str, Any]]) -> Any:
    rows = []
    for s in lines:
        auc = {"value": s["auc"], "low": s["auc_low"], "high": s["auc_high"]}
        shares = ("positive_rate", "mean_probability", "flagged", "recall", "false_alarm_rate")
        rows.append(
            [
                part.line_of(s["column"]),
                part.line_of(s["level"]),
                f"{s['rows']:,}",
                *(part.percent(s[share]) for share in shares),
                part.line_of(s["note"]) if s["auc"] is None else part.interval_text(auc),
            ]
        )
    return Table(
        rows,
        headers=[
            "Column",
            "Group",
            "Rows",
            "Positive",
            "Predicted",
            "Flagged",
            "Recall",
            "False alarms",
            "ROC AUC (95%)",
        ],
    )

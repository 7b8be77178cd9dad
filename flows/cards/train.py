"""Cards of a training run: the data report, the leaderboard, and each search.

Metaflow's Markdown executes HTML. So text from data goes only into table cells, value boxes and
charts, which escape it, or through `cards.text.code`. Markdown here is fixed text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from metaflow.cards import Markdown, Table, ValueBox

from cards import parts as part

if TYPE_CHECKING:
    from fivefold.core.findings import Finding
    from fivefold.training.candidate import Candidate
    from fivefold.training.ensemble import Ensemble
    from fivefold.training.leaderboard import Leaderboard, LeaderboardRow

ASSOCIATION = (
    "*Alone*: cross-validated ROC AUC of the column's binned positive rate, for every kind of "
    "column; at or below 0.5 it has no information. *Its order*: ROC AUC of the values as they "
    "are (DeLong). *Bits*: mutual information. Cramér's V and bits are corrected for their bias."
)
COLUMNS = (
    "Strongest association first. Left chart: distribution of the values in each class (blue: "
    "negative, orange: positive; each class sums to 100%). Right chart: positive rate with its "
    "95% interval; dashed: the whole table."
)
FIDELITY = (
    "How close the synthetic rows, which join the training folds, are to the real ones. *KS*, "
    "*TV*: largest difference of the distributions, 0 to 1; two samples of one distribution exceed "
    "*chance* in one of twenty cases. The copula is fitted to 70% of the rows; the two classifiers "
    "are scored on the other 30%."
)
OUTLIERS = (
    "Values beyond 1.5 interquartile ranges from the quartiles (Tukey 1977). A normally "
    "distributed column has 0.7% of them. They are not necessarily errors."
)
CHOSEN = (
    "p: DeLong's paired test on the same out-of-fold rows, adjusted by Holm. These scores chose "
    "the winner, so they are slightly too high for it. The evaluation card shows rows that were "
    "not used for any choice."
)
HEADERS = [
    "Rank",
    "Algorithm",
    "Mean ROC AUC",
    "SD of folds",
    "p against winner",
    "Trials",
    "Time",
    "Parameters or error",
]


def eda_components(
    summary: Mapping[str, Any], changes: Mapping[str, Any] | None = None
) -> list[Any]:
    """Return the report on a table.

    `summary` comes from `fivefold.profiling.summary.summarise`. `changes` has the keys since and
    changes; it compares the table with that of an earlier run.
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
        Markdown("## Association with the target"),
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
    board: Leaderboard, blend: Ensemble, doubted: Sequence[Finding], run_id: str = ""
) -> list[Any]:
    """Return the card that compares the algorithms; `doubted` stands beside their figures."""
    from fivefold.charts import model
    from fivefold.training.leaderboard import title

    scores = []
    for row, candidate in zip(board.rows, board.candidates, strict=False):
        mean, sd = candidate.auc_mean, candidate.auc_std
        name, folds = title(row.algorithm), candidate.fold_scores
        rank = row.rank or 0
        scores.append(model.ScoreRow(name, rank, row.indistinguishable, mean, sd, folds))
    parts = [
        Markdown("# Leaderboard"),
        *part.box_rows(_leaderboard_boxes(board)),
        *(part.finding_tables([finding.to_dict() for finding in doubted]) if doubted else []),
        *_lost_parts(board, run_id),
        part.chart_part(model.leaderboard(scores)),
        Table([_leaderboard_cells(row) for row in board.rows], headers=HEADERS),
        *_metric_parts(board),
        Markdown(CHOSEN),
        *part.given_up_parts(board.given_up),
        *part.blend_parts(blend),
        Markdown("## Searches"),
        Markdown("Grey: stopped early, at the mean of the finished folds."),
    ]
    return parts + [_search_chart(candidate) for candidate in board.candidates]


def _leaderboard_boxes(board: Leaderboard) -> list[ValueBox]:
    from fivefold.training.leaderboard import title

    winner = board.winner
    close = sum(row.indistinguishable for row in board.rows) - 1  # without the winner
    failed = len(board.lost)
    skipped = len(board.rows) - len(board.candidates) - failed
    name = part.line_of(title(winner.algorithm), 100)
    spread = f"± {winner.auc_std:.4f} between {len(winner.fold_scores)} folds"
    subtitle = "not distinguishable from the winner" if close else "no other algorithm"
    theme = "danger" if failed else None
    return [
        ValueBox("Winner", name, _chosen_by(winner), theme="success"),
        ValueBox("ROC AUC", f"{winner.auc_mean:.4f}", spread),
        ValueBox("As good", str(close), subtitle),
        ValueBox("Failed", str(failed), f"searches; {skipped} left out on purpose", theme=theme),
    ]


def _chosen_by(winner: Candidate) -> str:
    from fivefold.training.metric import METRICS

    metric = METRICS[winner.metric]
    return f"{'highest' if metric.higher_is_better else 'lowest'} mean {metric.title} of the folds"


def _metric_parts(board: Leaderboard) -> list[Any]:
    """Return the figures by which the algorithms are ranked, where these are not ROC AUCs."""
    from fivefold.training.leaderboard import title
    from fivefold.training.metric import METRICS

    metric = METRICS[board.winner.metric]
    if board.winner.scores is None:
        return []
    rows = [
        [part.line_of(title(one.algorithm)), part.number_text(metric.shown(one.score))]
        for one in board.candidates
    ]
    return [Table(rows, headers=["Ranked by", f"Mean {metric.title} of the folds"])]


def _lost_parts(board: Leaderboard, run_id: str) -> list[Any]:
    """Return the searches that failed, why, and how to repeat just them."""
    from fivefold.training.closing import search_again
    from fivefold.training.leaderboard import title

    if not board.lost:
        return []
    rows = [
        [part.line_of(title(one.algorithm)), part.line_of(one.error, 300)] for one in board.lost
    ]
    command = [["To search just these", search_again(run_id)]] if run_id else []
    return [Markdown("## Lost"), Table([*rows, *command], headers=["Search", "Why"])]


def _trials_text(result: Candidate) -> str:
    pruned = sum(not trial.complete for trial in result.trials)
    return f"{len(result.trials)}" + (f" ({pruned} stopped early)" if pruned else "")


def _leaderboard_cells(row: LeaderboardRow) -> list[str]:
    from fivefold.training.candidate import FailedSearch
    from fivefold.training.leaderboard import title

    result, name = row.result, part.line_of(title(row.algorithm))
    seconds = f"{result.seconds:.0f}{part.GAP}s"
    if isinstance(result, FailedSearch):
        return ["–", name, "–", "–", "–", "0", seconds, part.line_of(result.error, 200)]
    mean, sd = part.auc_text(result.auc_mean), part.auc_text(result.auc_std)
    trials, params = _trials_text(result), part.params_text(result.params)
    return [str(row.rank), name, mean, sd, _p_text(row), trials, seconds, params]


def _p_text(row: LeaderboardRow) -> str:
    if row.p_value is None:
        return "winner"
    return f"{row.p_value:.2g}" + (" (not distinguishable)" if row.indistinguishable else "")


def search_components(candidate: Candidate) -> list[Any]:
    """Return the card of one finished search."""
    from fivefold.training.leaderboard import title

    name = part.line_of(title(candidate.algorithm), 100)
    pruned = sum(not trial.complete for trial in candidate.trials)
    spread = f"SD of the folds {part.auc_text(candidate.auc_std)}"
    given_up = [part.fact_table({"given up": candidate.given_up})] if candidate.given_up else []
    boxes = [
        ValueBox("Algorithm", name, f"{candidate.seconds:.0f} s of search"),
        ValueBox("Mean ROC AUC", part.auc_text(candidate.auc_mean), spread),
        ValueBox("Trials", str(len(candidate.trials)), f"{pruned} stopped early"),
    ]
    shown = [*part.box_rows(boxes), *given_up]
    return [*shown, _search_chart(candidate), *part.setting_parts(candidate)]


def _search_chart(candidate: Candidate) -> Any:
    from fivefold.charts.model import TrialScore, trials
    from fivefold.training.leaderboard import title

    scores = [TrialScore(t.number, t.auc, t.state, t.seconds) for t in candidate.trials]
    return part.chart_part(trials(scores, title(candidate.algorithm)))

"""Cards: plain dicts of `lib` as Metaflow card components.

Metaflow's Markdown executes HTML, so text that comes from data goes into table cells, value boxes and charts alone,
which escape it, or through `card_parts.code`. Markdown here is fixed text.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from card_parts import (
    GAP,
    MOST_COLUMNS,
    auc_text,
    baseline_table,
    box_rows,
    change_tables,
    chart_part,
    class_words,
    column_row,
    fact_table,
    finding_tables,
    line_of,
    metric_table,
    missing_table,
    note_table,
    outlier_table,
    overview_boxes,
    p_text,
    pair_table,
    params_text,
    percent,
    problem_table,
    ranking_table,
    segment_table,
    side_by_side,
    source_table,
    spec_of,
)
from metaflow.cards import Markdown, ProgressBar, Table, ValueBox

REDRAW = 1.0  # seconds between two drawings of a live card; one costs some 50 ms
ASSOCIATION = (
    "*Alone*: ROC AUC of the column's binned positive rate, cross-validated: the model's own measure, for every "
    "kind of column; at or below 0.5 it says nothing. *Its order*: ROC AUC of the values as they are (DeLong). "
    "*Bits*: mutual information. Cramér's V and bits are corrected for their bias.")
COLUMNS = (
    "Strongest association first. Left chart: how the values of each class spread (blue: negative, orange: positive; "
    "each class sums to 100%). Right chart: positive rate with its 95% interval; dashed: the whole table.")
OUTLIERS = (
    "Values beyond 1.5 interquartile ranges from the quartiles (Tukey 1977). A normal column has 0.7% of them: they "
    "are a place to look, not an error.")
CHOSEN = (
    "p: DeLong's paired test on the same out-of-fold rows, adjusted by Holm. These scores chose the winner, so they "
    "flatter it a little; the evaluation card shows rows that nothing was chosen on.")


def eda_components(summary: Mapping[str, Any], changes: Mapping[str, Any] | None = None) -> list[Any]:
    """The report on a table: `summary` of `lib.summary.summarise`; `changes`: {since, changes} of an earlier run."""
    from lib import charts

    scope, o, columns = summary["scope"], summary["overview"], summary["columns"]
    words = class_words(scope)
    parts = [Markdown("# Data report"), *problem_table(scope), *overview_boxes(summary), Markdown("## Findings"),
             *finding_tables(summary["findings"])]
    if changes:
        parts += [Markdown("## What changed"), *change_tables(changes)]
    parts += [Markdown("## What goes with the target"),
              Markdown(ASSOCIATION),
              chart_part(charts.association(summary["association"]["ranking"])),
              ranking_table(summary["association"]["ranking"])]
    if summary["trend"] and summary["trend"]["period"]:
        parts += [Markdown("## Over time"), chart_part(charts.trend(summary["trend"], words))]
    ranked = [line["column"] for line in summary["association"]["ranking"]]
    shown = ranked[:MOST_COLUMNS]
    parts.append(Markdown("## Columns"))
    if shown:
        rows = [column_row(columns[n], o["positive_rate"], words) for n in shown]
        parts += [Markdown(COLUMNS), Table(rows, headers=["Column", "Spread by class", "Positive rate", "In numbers"])]
    others = [c for n, c in columns.items() if n not in shown]
    if others:
        parts.append(Table([[line_of(c["name"]), c["kind"], percent(c["missing"]["share"]), f"{c['distinct']:,}",
                             line_of(c["why"] or c.get("value", "")) or "not charted"] for c in others],
                           headers=["Other column", "Kind", "Missing", "Distinct", "Note"]))
    if o["missing_cells"]:
        parts += [Markdown("## Missing cells"), chart_part(charts.missing(columns)), missing_table(columns)]
    if len(summary["correlation"]["columns"]) > 1:
        parts += [Markdown("## Correlations of numbers"), chart_part(charts.correlation(summary["correlation"])),
                  pair_table(summary)]
    if any("outliers" in c for c in columns.values()):
        parts += [Markdown("## Outliers"), Markdown(OUTLIERS), chart_part(charts.outliers(columns)),
                  outlier_table(columns)]
    return [*parts, Markdown("## Source"), source_table(summary), *note_table(summary["notes"])]


def leaderboard_components(board: Sequence[Mapping[str, Any]], winner: str, notes: Sequence[str] = ()) -> list[Any]:
    """The comparison of the algorithms: `board` of `lib.selection.rank`, `winner` an algorithm of it."""
    from lib import charts_model
    from lib.selection import title

    best = next(a for a in board if a["algorithm"] == winner)
    close = [a for a in board if a["status"] == "ok" and a["indistinguishable"] and a["algorithm"] != winner]
    names = {a["algorithm"]: title(a["algorithm"]) for a in board}
    failed = sum(a["status"] != "ok" for a in board)
    parts = [Markdown("# Leaderboard"), *box_rows([
        ValueBox("Winner", line_of(title(winner), 100), "highest mean ROC AUC over the folds", theme="success"),
        ValueBox("ROC AUC", f"{best['auc_mean']:.4f}",
                 f"± {best['auc_std']:.4f} between {len(best['fold_scores'])} folds"),
        ValueBox("As good", str(len(close)), "cannot be told from the winner" if close else "none: it stands alone"),
        ValueBox("Failed", str(failed), "algorithms without a result", theme="danger" if failed else None)]),
        chart_part(charts_model.leaderboard(board, names)),
        Table([[str(a["rank"] or "–"), line_of(names[a["algorithm"]]), auc_text(a["auc_mean"]), auc_text(a["auc_std"]),
                p_text(a, winner),
                str(len(a["trials"])), f"{a['seconds']:.0f}{GAP}s",
                line_of(a["error"], 200) if a["status"] != "ok" else params_text(a["params"])]
               for a in board],
              headers=["Rank", "Algorithm", "Mean ROC AUC", "SD of folds", "p against winner", "Trials", "Time",
                       "Parameters or error"]),
        Markdown(CHOSEN), *note_table(notes)]
    searched = [a for a in board if a["trials"]]
    if searched:
        parts += [Markdown("## Searches"), Markdown("Grey: given up early, placed by the folds that they finished."),
                  *(chart_part(charts_model.trials(a["trials"], names[a["algorithm"]])) for a in searched)]
    return parts


def evaluation_components(evaluation: Mapping[str, Any], bundle_card: Mapping[str, Any]) -> list[Any]:
    """The winner on held-out rows: `evaluation` of `lib.evaluation.evaluate`, `bundle_card` a bundle's `about`."""
    from lib import charts_model as charts
    from lib.selection import title

    auc, c, threshold = evaluation["auc"], evaluation["confusion"], evaluation["threshold"]
    negative, positive = bundle_card.get("phrases") or ("negative", "positive")
    scope = bundle_card.get("scope") or {}
    words, positives, rows = (str(negative), str(positive)), c["tp"] + c["fn"], sum(c.values())
    name = title(str(bundle_card.get("algorithm", "model")))
    parts = [Markdown("# Evaluation on held-out rows"), *problem_table(scope), *box_rows([
        ValueBox("ROC AUC", f"{auc['value']:.4f}", f"95% interval {auc['low']:.4f} to {auc['high']:.4f}",
                 theme="success"),
        ValueBox("Model", line_of(name, 100), line_of(f"refitted on all training rows, calibrated: "
                                                  f"{(bundle_card.get('calibration') or {}).get('method', 'unknown')}",
                                                  300)),
        ValueBox("Held-out rows", f"{rows:,}",
                 f"{positives:,} positive ({percent(positives / rows if rows else None)})"),
        ValueBox("Threshold", f"{threshold['value']:.3f}",
                 line_of(threshold.get("why") or "chosen on training rows", 300))])]
    if evaluation.get("findings"):
        parts += finding_tables(evaluation["findings"])
    parts += [Markdown("## Measures"), metric_table(evaluation["metrics"]), Markdown("## At the threshold"),
              chart_part(charts.confusion(c, words)), Markdown("## Curves"),
              Markdown("Cross and dashed upright line: the chosen threshold."),
              *side_by_side([charts.roc(evaluation), charts.precision_recall(evaluation),
                             charts.calibration(evaluation), charts.gain(evaluation, scope.get("capacity"))]),
              chart_part(charts.cost(evaluation))]
    if evaluation.get("baselines"):
        parts += [Markdown("## Compared with"), chart_part(charts.baselines(evaluation, name)),
                  baseline_table(evaluation["baselines"])]
    if evaluation.get("importance"):
        parts += [Markdown("## What the model uses"), chart_part(charts.importance(evaluation["importance"])), Markdown(
            "Columns that stand in for each other share their importance: neither looks important alone.")]
    if evaluation.get("segments"):
        parts += [Markdown("## Groups"), segment_table(evaluation["segments"])]
    return [*parts, Markdown("## Provenance"), fact_table({
        "parameters": params_text(bundle_card.get("params") or {}), "rounds": bundle_card.get("rounds"),
        **(bundle_card.get("provenance") or {})})]


def arm_components(candidate: Mapping[str, Any]) -> list[Any]:
    """The finished search of one algorithm: a candidate of `lib.tuning.tune`."""
    from lib import charts_model
    from lib.selection import title

    name = title(candidate["algorithm"])
    pruned = sum(t["state"] == "pruned" for t in candidate["trials"])
    return [*box_rows([ValueBox("Algorithm", line_of(name, 100), f"{candidate['seconds']:.0f} s of search"),
                     ValueBox("Mean ROC AUC", auc_text(candidate["auc_mean"]),
                              f"SD of the folds {auc_text(candidate['auc_std'])}"),
                     ValueBox("Trials", str(len(candidate["trials"])), f"{pruned} given up early")]),
            chart_part(charts_model.trials(candidate["trials"], name)), fact_table(candidate["params"])]


class Live:
    """The card of a running search: a bar, a line of status and the best so far, refreshed after each fold.

    A card never stops a search: whatever goes wrong in drawing is swallowed after the first word about it.
    """

    def __init__(self, card: Any, algorithm: str):
        from lib import charts_model
        from lib.selection import title

        self._card, self._title, self._trials, self._broken = card, title(algorithm), [], False
        self._draw, self._began, self._drawn = charts_model.trials, time.monotonic(), -REDRAW
        self._bar = ProgressBar(max=100, label=line_of(self._title), unit="%", metadata="preparing the folds")
        self._status = ValueBox("Best so far", "–", "no trial has ended yet")
        self._chart = chart_part(self._draw([], self._title))
        self._safely(lambda: card.extend([Markdown("# Search"), self._bar, self._status, self._chart]))

    def report(self, state: Mapping[str, Any]) -> None:
        """After each fold: {trial (from 0), of, fold, folds, auc (mean so far), best (earlier trials or None)}."""
        self._safely(lambda: self._show(state))

    def finish(self, candidate: Mapping[str, Any]) -> None:
        """The finished search in place of the running one."""
        def last() -> None:
            self._bar.update(100, metadata="finished")
            self._card.clear()
            self._card.extend([Markdown("# Search"), *arm_components(candidate)])

        self._safely(last)

    def _show(self, state: Mapping[str, Any]) -> None:
        number, fold, folds, now = state["trial"], state["fold"], state["folds"], time.monotonic()
        if self._trials and self._trials[-1]["number"] == number:
            self._trials.pop()
        self._trials.append({"number": number, "auc": state["auc"], "state": "complete" if fold == folds else "pruned",
                             "seconds": now - self._began})
        if now - self._drawn < REDRAW:
            return
        self._drawn = now
        endless = state["of"] >= 10_000  # a search by the clock
        share = fold / folds if endless else (number + fold / folds) / max(1, state["of"])
        of = "" if endless else f" of {state['of']}"
        self._bar.update(round(100 * min(1.0, share)), metadata=(
            f"trial {number + 1}{of}, fold {fold} of {folds}, {now - self._began:.0f} s"))
        best = max((v for v in (state["best"], state["auc"] if fold == folds else None) if v is not None), default=None)
        if best is not None:
            self._status.update(value=f"{best:.4f}",
                                subtitle=f"mean ROC AUC over {folds} folds; this trial {state['auc']:.4f}")
        self._chart.update(spec_of(self._draw(self._trials if fold == folds else self._trials[:-1], self._title)))
        self._card.refresh()

    def _safely(self, draw: Any) -> None:
        if self._broken:
            return
        try:
            draw()
        except Exception as error:  # a report must not cost a search
            self._broken = True
            print(f"The live card stopped: {type(error).__name__}: {error}")

"""Evaluation card: the model on held-out rows, from the metadata of its bundle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from metaflow.cards import Markdown, Table, ValueBox

from cards import parts as part

if TYPE_CHECKING:  # a flow file must not load what these import
    from fivefold.model.evaluation import Baseline, Evaluation, Segment
    from fivefold.model.metadata import Metadata

IMPORTANCE = (
    "Columns that can replace each other share their importance: neither looks important alone. "
    "Of more than 70 columns only those are measured that vary most with the predictions."
)
REFITTED = (
    "These are the figures of the model fitted without the held-out rows. What is **served** was "
    "then fitted once more with the same settings on {rows:,} labelled rows, the held-out ones "
    "among them. It cannot be evaluated on those: the figures are an estimate for it, a little on "
    "the low side. `--refit no` serves the evaluated model itself."
)


AGEING = (
    "The winner's settings were fitted before each of several cuts in time and scored on later "
    "training rows, in each case beside a model that had learnt up to just before these rows."
)


def components(metadata: Metadata) -> list[Any]:
    """Return the parts of the card; `metadata` has an evaluation."""
    from fivefold.charts import evaluation as charts
    from fivefold.model.evaluation import Evaluation
    from fivefold.training.leaderboard import title

    evaluation = metadata.evaluation or Evaluation()
    name = title(metadata.algorithm or "model")
    parts = [
        Markdown("# Evaluation on held-out rows"),
        *part.problem_table(metadata.scope.to_dict()),
        *part.box_rows(_boxes(metadata, evaluation, name)),
    ]
    if metadata.refit:
        parts.append(Markdown(REFITTED.format(rows=metadata.refit.rows)))
    parts += part.given_up_parts(metadata.given_up)
    stored = evaluation.to_dict()
    if evaluation.findings:
        parts += part.finding_tables(stored["findings"])
    outcomes = metadata.outcomes
    words = (outcomes.negative, outcomes.positive)
    curves = [
        charts.roc(stored),
        charts.precision_recall(stored),
        charts.calibration(stored),
        charts.gain(stored, metadata.scope.capacity),
    ]
    parts += [
        Markdown("## Measures"),
        _metric_table(evaluation),
        Markdown("## At the threshold"),
        part.chart_part(charts.confusion(stored["confusion"], words)),
        Markdown("## Curves"),
        Markdown("Cross and dashed upright line: the chosen threshold."),
        *part.side_by_side(curves),
        part.chart_part(charts.cost(stored)),
    ]
    if evaluation.baselines:
        parts += [
            Markdown("## Compared with"),
            part.chart_part(charts.baselines(stored, name)),
            _baseline_table(evaluation.baselines),
        ]
    if evaluation.importance:
        parts += [
            Markdown("## What the model uses"),
            part.chart_part(charts.importance(stored["importance"])),
            Markdown(IMPORTANCE),
        ]
    if evaluation.ageing.points:
        parts += [
            Markdown("## How fast the model ages"),
            part.chart_part(charts.ageing(stored["ageing"])),
            Markdown(f"{evaluation.ageing.advice}. {AGEING}"),
        ]
    if evaluation.segments:
        parts += [Markdown("## Groups"), _segment_table(evaluation.segments)]
    if metadata.features:
        parts += [Markdown("## Features"), *part.feature_tables(metadata.features)]
    if len(metadata.members) > 1:
        parts += [Markdown("## What is averaged"), _member_table(metadata)]
    return [*parts, Markdown("## Provenance"), part.fact_table(_facts(metadata))]


def _boxes(metadata: Metadata, evaluation: Evaluation, name: str) -> list[Any]:
    auc, counts, threshold = evaluation.auc, evaluation.confusion, evaluation.threshold
    training, fitted = metadata.rows_training, metadata.rows_fitted
    used = f"all {training:,}" if fitted == training else f"{fitted:,} of {training:,}"
    model = f"refitted on {used} training rows, calibrated: {metadata.calibration.method}"
    rate = part.percent(counts.positives / counts.rows if counts.rows else None)
    interval = f"95% interval {auc['low']:.4f} to {auc['high']:.4f}"
    why = threshold.why or "chosen on training rows"
    return [
        ValueBox("ROC AUC", f"{auc['value']:.4f}", interval, theme="success"),
        ValueBox("Model", part.line_of(name, 100), part.line_of(model, 300)),
        ValueBox("Held-out rows", f"{counts.rows:,}", f"{counts.positives:,} positive ({rate})"),
        ValueBox("Threshold", f"{threshold.value:.3f}", part.line_of(why, 300)),
    ]


def _metric_table(evaluation: Evaluation) -> Any:
    rows = []
    for name, metric in evaluation.metrics.items():
        interval = "–"
        if metric.low is not None:
            interval = f"{part.number_text(metric.low)} to {part.number_text(metric.high)}"
        title = part.line_of(name.replace("_", " "))
        rows.append([title, part.number_text(metric.value), interval])
    return Table(rows or [["–"] * 3], headers=["Measure", "Value", "95% interval"])


def _baseline_table(baselines: Sequence[Baseline]) -> Any:
    rows = []
    for line in baselines:
        interval = f"{part.auc_text(line.low)} to {part.auc_text(line.high)}"
        row = [
            part.line_of(line.name),
            f"{part.auc_text(line.auc)} ({interval})",
            "–" if line.gain is None else f"{line.gain:+.4f}",
            "–" if line.p_value is None else f"{line.p_value:.2g}",
        ]
        rows.append(row)
    return Table(rows, headers=["Other", "ROC AUC (95%)", "Ours minus theirs", "p (DeLong)"])


def _segment_table(segments: Sequence[Segment]) -> Any:
    rows = []
    for line in segments:
        auc = {"value": line.auc, "low": line.auc_low, "high": line.auc_high}
        row = [
            part.line_of(line.column),
            part.line_of(line.level),
            f"{line.rows:,}",
            part.percent(line.positive_rate),
            part.percent(line.mean_probability),
            part.percent(line.flagged),
            part.percent(line.recall),
            part.percent(line.false_alarm_rate),
            part.line_of(line.note) if line.auc is None else part.interval_text(auc),
        ]
        rows.append(row)
    headers = ["Column", "Group", "Rows", "Positive", "Predicted", "Flagged", "Recall"]
    return Table(rows, headers=[*headers, "False alarms", "ROC AUC (95%)"])


def _member_table(metadata: Metadata) -> Any:
    from fivefold.training.leaderboard import title

    rows = []
    for member in metadata.members:
        row = [
            part.line_of(title(member["algorithm"])),
            part.percent(member["weight"]),
            f"{member['rows_fitted']:,}",
            part.params_text(member["params"]),
        ]
        rows.append(row)
    return Table(rows, headers=["Algorithm", "Weight", "Rows", "Parameters"])


def _facts(metadata: Metadata) -> dict[str, Any]:
    facts = vars(metadata.provenance)
    if len(metadata.members) > 1:
        return dict(facts)
    alone = {"parameters": part.params_text(metadata.params), "rounds": metadata.rounds}
    return {**alone, **facts}

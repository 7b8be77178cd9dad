"""Card parts: tables, boxes and texts from plain dicts of `fivefold`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from metaflow.cards import Markdown, Table, ValueBox, VegaChart

from cards.text import (
    GAP,
    auc_text,
    code,
    interval_text,
    line_of,
    number_text,
    params_text,
    percent,
    share_text,
)
from fivefold.core.findings import condensed, from_dicts

if TYPE_CHECKING:
    from fivefold.training.candidate import Candidate
    from fivefold.training.ensemble import Ensemble

__all__ = ["GAP", "auc_text", "code", "line_of", "number_text", "params_text", "percent"]

MOST_COLUMNS = 60  # columns that get charts; the others are listed below them
PER_ROW = 4  # value boxes side by side
SEVERITIES = {
    "error": f"✖{GAP}error",
    "warning": f"▲{GAP}warning",
    "passed": f"✔{GAP}passed",
    "not_applicable": f"–{GAP}not{GAP}checked",
}
DIRECTIONS = {"up": "↑ higher", "down": "↓ lower", "none": "neither", "unknown": "–"}


def problem_table(scope: Mapping[str, Any]) -> list[Any]:
    """Return the problem in the words of its scope, as a table: it is the user's text."""
    positive = scope.get("positive")
    facts = {
        "Problem": scope.get("title"),
        "Question": scope.get("question"),
        "Target": scope.get("target"),
        "Positive": f"{positive} ({scope.get('positive_phrase')})" if positive else "",
    }
    rows = [[label, line_of(value, 400)] for label, value in facts.items() if value]
    return [Table(rows)] if rows else []


def overview_boxes(summary: Mapping[str, Any]) -> list[Any]:
    overview, time_column = summary["overview"], summary["scope"]["time_column"]
    kinds = ", ".join(f"{n} {kind}" for kind, n in overview["kinds"].items())
    unlabelled = overview["rows"] - overview["labelled"]
    interval = f"{percent(overview['positive_low'])} to {percent(overview['positive_high'])}"
    to_look_at = sum(f["severity"] in ("error", "warning") for f in summary["findings"])
    boxes = [
        ValueBox(
            "Rows",
            f"{overview['rows']:,}",
            f"{unlabelled:,} without a label" if unlabelled else "all with a label",
        ),
        ValueBox("Columns", f"{overview['columns']:,}", kinds or "none"),
        ValueBox(
            "Positive rate",
            percent(overview["positive_rate"]),
            f"95% interval {interval}; {overview['positives']:,} rows",
        ),
        ValueBox(
            "Missing cells",
            percent(overview["missing_share"]),
            f"{overview['missing_cells']:,} cells",
        ),
        ValueBox(
            "Repeated rows",
            f"{overview['duplicated_rows']:,}",
            "equal in all columns that a model may use",
        ),
        ValueBox("Memory", f"{overview['memory_bytes'] / 1e6:,.1f}{GAP}MB", "of the typed table"),
        ValueBox(
            "To look at",
            f"{to_look_at}",
            "findings that are not passed",
            theme="warning" if to_look_at else "success",
        ),
        ValueBox(
            "Time column",
            line_of(time_column or "none", 100),
            "rows are split by it" if time_column else "rows are split at random",
        ),
    ]
    return box_rows(boxes)


def finding_tables(findings: Sequence[Mapping[str, str]]) -> list[Any]:
    """Return errors and warnings, many alike as one, then a line each of passed and others."""
    shown = [finding.to_dict() for finding in condensed(from_dicts(map(dict, findings)))]
    rows = [
        [
            SEVERITIES[severity],
            line_of(f["subject"]),
            f["code"],
            line_of(f["found"], 400),
            line_of(f["expected"], 400) or "–",
            line_of(f["action"], 400) or "–",
        ]
        for severity in ("error", "warning")
        for f in shown
        if f["severity"] == severity
    ]
    folded = []
    for severity in ("passed", "not_applicable"):
        codes = [f["code"] for f in findings if f["severity"] == severity]
        if codes:
            label = f"{SEVERITIES[severity]} ({len(codes)})"
            folded.append([label, line_of(", ".join(dict.fromkeys(codes)), 2000)])
    parts: list[Any] = []
    if rows:
        parts.append(Table(rows, headers=["", "Subject", "Check", "Found", "Expected", "To do"]))
    if folded:
        parts.append(Table(folded))
    return parts or [Markdown("Nothing was checked.")]


def change_tables(changes: Mapping[str, Any]) -> list[Any]:
    lines = changes["changes"]
    notable = sum(line["notable"] for line in lines)
    rows = [
        [
            "▲" if line["notable"] else "",
            line_of(line["subject"]),
            line["what"],
            line_of(line["before"], 200),
            line_of(line["now"], 200),
            line_of(line["why"], 200) or "–",
        ]
        for line in lines
    ]
    since = ["Since run", line_of(changes["since"], 200)]
    return [
        Table([since, ["Notable", f"{notable} of {len(lines)}"]]),
        Table(rows, headers=["", "Subject", "What", "Before", "Now", "Why"]),
    ]


def ranking_table(ranking: Sequence[Mapping[str, Any]]) -> Any:
    rows = [
        [
            line_of(line["column"]),
            line["kind"] if line["used"] else f"{line['kind']} (not used)",
            interval_text(line["alone"]),
            interval_text(line["auc"]),
            DIRECTIONS[line["direction"]],
            "–" if line["cramers_v"] is None else f"{line['cramers_v']:.3f}",
            "–" if line["mutual_information"] is None else f"{line['mutual_information']:.4f}",
        ]
        for line in ranking[:MOST_COLUMNS]
    ]
    headers = ["Column", "Kind", "Alone (95%)", "Its order (95%)", "If positive"]
    return Table(rows or [["–"] * 7], headers=[*headers, "Cramér's V", "Bits"])


def column_row(
    column: Mapping[str, Any], overall: float | None, words: tuple[str, str]
) -> list[Any]:
    """Return name, spread by class, positive rate, key numbers.

    A table cell holds a chart or one text, no inner table.
    """
    from fivefold.charts import table as charts

    name = line_of(column["name"], 60)
    if column["unit"]:
        name += f" ({line_of(column['unit'], 40)})"
    if not column["used"]:
        name += f" – not used: {line_of(column['why'])}"
    numbers = "; ".join(_numbers(column))
    if column["help"]:
        numbers += f". {line_of(column['help'], 200)}"
    has_groups = any(key in column for key in ("histogram", "levels", "periods"))
    if not column["distinct"] or not has_groups:
        return [name, "–", "–", numbers]
    spread = charts.distribution(column, words, compact=True)
    rate = charts.rate(column, overall, words, compact=True)
    return [name, chart_part(spread), chart_part(rate), numbers]


def _numbers(column: Mapping[str, Any]) -> list[str]:
    """Return the key numbers of a column as short texts."""
    texts = [column["kind"], f"{column['distinct']:,} distinct"]
    if column["missing"]["rows"]:
        texts.append(f"{percent(column['missing']['share'])} missing")
    if "quantiles" in column:
        q = column["quantiles"]
        texts += [
            f"median {number_text(q['p50'])}",
            f"quartiles {number_text(q['p25'])} to {number_text(q['p75'])}",
            f"range {number_text(q['min'])} to {number_text(q['max'])}",
            f"mean {number_text(column['mean'])}, SD {number_text(column['sd'])}",
            f"skew {number_text(column['skew'], 2)}",
        ]
        if column["zeros"]:
            texts.append(f"{percent(column['zeros'])} zeros")
    elif "levels" in column and column["levels"]["level"]:
        levels = column["levels"]
        share = levels["rows"][0] / max(1, sum(levels["rows"]))
        texts.append(f"most frequent {line_of(levels['level'][0])} ({percent(share)})")
    elif "periods" in column:
        texts.append(f"from {column['first'][:10]} to {column['last'][:10]}")
    elif "length" in column:
        q = column["length"]
        span = f"{number_text(q['p5'])} to {number_text(q['p95'])}"
        texts.append(f"{number_text(q['p50'])} characters (p5 to p95: {span})")
        texts.append(f"{number_text(column['words'], 3)} words")
    return texts


def other_columns(columns: Sequence[Mapping[str, Any]]) -> Any:
    """Return a line for each column that has no charts."""
    rows = [
        [
            line_of(column["name"]),
            column["kind"],
            percent(column["missing"]["share"]),
            f"{column['distinct']:,}",
            line_of(column["why"] or column.get("value", "")) or "not charted",
        ]
        for column in columns
    ]
    return Table(rows, headers=["Other column", "Kind", "Missing", "Distinct", "Note"])


def missing_table(columns: Mapping[str, Any]) -> Any:
    incomplete = [c for c in columns.values() if c["missing"]["rows"]]
    rows = []
    for column in sorted(incomplete, key=lambda c: -c["missing"]["rows"]):
        missing = column["missing"]
        rate = {key: missing[f"positive_{key}"] for key in ("rate", "low", "high")}
        name, cells = line_of(column["name"]), f"{missing['rows']:,}"
        rows.append([name, cells, percent(missing["share"]), share_text(rate)])
    return Table(
        rows, headers=["Column", "Missing cells", "Share", "Positive rate among them (95%)"]
    )


def pair_table(summary: Mapping[str, Any]) -> Any:
    pairs = summary["correlation"]["strongest"]
    rows = [[line_of(p["a"]), line_of(p["b"]), f"{p['value']:+.3f}"] for p in pairs]
    return Table(rows or [["no pair reaches 0.1", "", ""]], headers=["Column", "With", "Spearman"])


def outlier_table(columns: Mapping[str, Any]) -> Any:
    numeric = [c for c in columns.values() if "outliers" in c]
    rows = []
    for column in sorted(numeric, key=lambda c: -c["outliers"]["share"]):
        outliers = column["outliers"]
        fences = f"{number_text(outliers['low_fence'])} to {number_text(outliers['high_fence'])}"
        counts = [f"{outliers['low']:,}", f"{outliers['high']:,}"]
        rows.append([line_of(column["name"]), fences, *counts, percent(outliers["share"])])
    return Table(rows, headers=["Column", "Fences", "Below", "Above", "Share"])


def source_table(summary: Mapping[str, Any]) -> Any:
    source = summary["source"]
    first = {key: source[key] for key in ("source", "md5", "rows") if key in source}
    return fact_table({**first, **source})


def given_up_parts(lines: Sequence[str]) -> list[Any]:
    """Return a table of what was given up for the time; nothing where that is nothing."""
    cells = [[line_of(line, 300)] for line in lines]
    return [Table(cells, headers=["Given up for the time"])] if cells else []


def fact_table(facts: Mapping[str, Any]) -> Any:
    """Return a two-column table; inner mappings are written as one line each."""
    flat: dict[str, Any] = {}
    for key, value in facts.items():
        if isinstance(value, Mapping):
            flat |= {f"{key}: {inner}": inner_value for inner, inner_value in value.items()}
        else:
            flat[key] = value
    rows = [
        [line_of(key), line_of(value, 300) or "–"]
        for key, value in flat.items()
        if value not in (None, "")
    ]
    return Table(rows or [["–", "nothing recorded"]])


def note_table(notes: Sequence[str]) -> list[Any]:
    return [Table([[line_of(note, 600)] for note in notes], headers=["Notes"])] if notes else []


def box_rows(boxes: Sequence[Any]) -> list[Any]:
    """Return value boxes in rows of `PER_ROW`."""
    starts = range(0, len(boxes), PER_ROW)
    return [Table([list(boxes[start : start + PER_ROW])]) for start in starts]


def side_by_side(charts: Sequence[Any]) -> list[Any]:
    """Return charts two side by side, in the width of a card."""
    cells = [chart_part(chart.properties(width=330, height=240)) for chart in charts]
    return [Table([cells[start : start + 2]]) for start in range(0, len(cells), 2)]


def chart_part(chart: Any) -> Any:
    return VegaChart(chart.to_dict())


def class_words(scope: Mapping[str, Any]) -> tuple[str, str]:
    return scope["negative_phrase"] or "negative", scope["positive_phrase"] or "positive"


def fidelity_tables(fidelity: Mapping[str, Any]) -> list[Any]:
    """Return `fivefold.data.synthetic.fidelity.assess` as tables.

    What can be learnt from drawn rows, pairs of columns, single columns.
    """
    use, pairs = fidelity["utility"], fidelity["correlation_error"]
    error = f"{number_text(pairs['mean'])} ({number_text(pairs['max'])}) {pairs['reason']}"
    summary = [
        ["ROC AUC, trained on real rows", auc_text(use["train_real"])],
        ["ROC AUC, trained on drawn rows", f"{auc_text(use['train_synthetic'])} {use['reason']}"],
        ["Spearman correlations off by, mean (largest)", error],
    ]
    rows = [
        [
            line_of(column["column"]),
            column["kind"],
            column["statistic"] or "–",
            number_text(column["value"]),
            number_text(column["noise"]),
            percent(column["missing_real"]),
            percent(column["missing_synthetic"]),
            column["reason"],
        ]
        for column in fidelity["columns"]
    ]
    headers = ["Column", "Kind", "Measure", "Difference", "Chance"]
    return [
        Table(summary),
        Table(rows, headers=[*headers, "Missing, real", "Missing, drawn", "Note"]),
    ]


def feature_tables(recipe: Mapping[str, Any]) -> list[Any]:
    """Return tables of the encoding plan: encoded, derived and dropped columns.

    `recipe` comes from `fivefold.training.encoding.plan`.
    """
    titles = {
        "numbers": "Numbers (imputed, scaled or splined, as the algorithm needs)",
        "low": "Categories of few levels (one column a level, or native)",
        "high": "Categories of many levels (cross-fitted target means, or native)",
        "text": "Free text (hashed words)",
        "derived": "Derived from dates",
    }
    used = [
        [title, line_of(", ".join(recipe[key]), 2000)]
        for key, title in titles.items()
        if recipe.get(key)
    ]
    dropped = [[line_of(d["column"]), line_of(d["why"], 200)] for d in recipe.get("dropped", [])]
    return [Table(used), *([Table(dropped, headers=["Dropped", "Why"])] if dropped else [])]


def setting_parts(candidate: Candidate) -> list[Any]:
    """Return the parameters of the best setting, or of all settings that the model averages."""
    settings = candidate.settings
    if len(settings) < 2:
        return [fact_table(candidate.params)]
    aucs: dict[int | None, float] = {trial.number: trial.auc for trial in candidate.trials}
    rows = []
    for setting in settings:
        trial, auc = str((setting.number or 0) + 1), auc_text(aucs[setting.number])
        rows.append([trial, auc, str(setting.rounds or "–"), params_text(setting.params)])
    return [
        Markdown(f"The model is the mean of its {len(settings)} best settings."),
        Table(rows, headers=["Trial", "Mean ROC AUC", "Rounds", "Parameters"]),
    ]


def blend_parts(blend: Ensemble) -> list[Any]:
    """Return the members and the ROC AUC of a blend, and whether it is served."""
    cells = [
        line_of(blend.shares),
        auc_text(blend.auc_mean),
        auc_text(blend.auc_std),
        blend.gain_text,
        line_of(f"{blend.served}: {blend.why}", 200),
    ]
    headers = ["Blend of", "Mean ROC AUC", "SD of folds", "Gain over the winner (95%)", "Served"]
    return [
        Markdown("## Blend"),
        Markdown(
            "A weighted mean of the algorithms' probabilities. "
            "Each fold is scored with weights chosen on the other folds."
        ),
        Table([cells], headers=headers),
    ]

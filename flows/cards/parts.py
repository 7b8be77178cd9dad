"""Card parts: the tables, boxes and texts that `cards` puts together, from plain dicts of `fivefold`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from metaflow.cards import Markdown, Table, ValueBox, VegaChart

from cards.text import (
    GAP,
    auc_text,
    code,
    interval_text,
    line_of,
    number_text,
    p_text,
    params_text,
    percent,
    share_text,
)

__all__ = ["GAP", "auc_text", "code", "line_of", "number_text", "p_text", "params_text", "percent"]

MOST_COLUMNS = 60  # columns that get charts; the others are listed below them
PER_ROW = 4  # value boxes side by side
SEVERITIES = {
    "error": f"✖{GAP}error",
    "warning": f"▲{GAP}warning",
    "passed": f"✔{GAP}passed",
    "not_applicable": f"–{GAP}not{GAP}checked",
}


def problem_table(scope: Mapping[str, Any]) -> list[Any]:
    """The problem in the words of its scope, as a table: it is the user's text."""
    title, question = scope.get("title"), scope.get("question")
    rows = [
        [label, line_of(value, 400)]
        for label, value in (
            ("Problem", title),
            ("Question", question),
            ("Target", scope.get("target")),
            (
                "Positive",
                f"{scope['positive']} ({scope.get('positive_phrase')})"
                if scope.get("positive")
                else "",
            ),
        )
        if value
    ]
    return [Table(rows)] if rows else []


def overview_boxes(summary: Mapping[str, Any]) -> list[Any]:
    o = summary["overview"]
    kinds = ", ".join(f"{n} {kind}" for kind, n in o["kinds"].items())
    twins, bad = (
        o["duplicated_rows"],
        [f for f in summary["findings"] if f["severity"] in ("error", "warning")],
    )
    return box_rows(
        [
            ValueBox(
                "Rows",
                f"{o['rows']:,}",
                f"{o['rows'] - o['labelled']:,} without a label"
                if o["rows"] > o["labelled"]
                else "all with a label",
            ),
            ValueBox("Columns", f"{o['columns']:,}", kinds or "none"),
            ValueBox(
                "Positive rate",
                percent(o["positive_rate"]),
                f"95% interval {percent(o['positive_low'])} to {percent(o['positive_high'])}; "
                f"{o['positives']:,} rows",
            ),
            ValueBox("Missing cells", percent(o["missing_share"]), f"{o['missing_cells']:,} cells"),
            ValueBox("Repeated rows", f"{twins:,}", "equal in all columns that a model may use"),
            ValueBox("Memory", f"{o['memory_bytes'] / 1e6:,.1f}{GAP}MB", "of the typed table"),
            ValueBox(
                "To look at",
                f"{len(bad)}",
                "findings that are not passed",
                theme="warning" if bad else "success",
            ),
            ValueBox(
                "Time column",
                line_of(summary["scope"]["time_column"] or "none", 100),
                "rows are split by it"
                if summary["scope"]["time_column"]
                else "rows are split at random",
            ),
        ]
    )


def finding_tables(found: Sequence[Mapping[str, str]]) -> list[Any]:
    """Errors and warnings in full, then all that passed in one line, then all that could not be judged in one more."""
    parts: list[Any] = []
    rows = [
        [
            SEVERITIES[f["severity"]],
            line_of(f["subject"]),
            f["code"],
            line_of(f["found"], 400),
            line_of(f["expected"], 400) or "–",
            line_of(f["action"], 400) or "–",
        ]
        for severity in ("error", "warning")
        for f in found
        if f["severity"] == severity
    ]
    if rows:
        parts.append(Table(rows, headers=["", "Subject", "Check", "Found", "Expected", "To do"]))
    folded = []
    for severity in ("passed", "not_applicable"):
        codes = [f["code"] for f in found if f["severity"] == severity]
        if codes:
            folded.append(
                [
                    f"{SEVERITIES[severity]} ({len(codes)})",
                    line_of(", ".join(dict.fromkeys(codes)), 2000),
                ]
            )
    if folded:
        parts.append(Table(folded))
    return parts or [Markdown("Nothing was checked.")]


def change_tables(changes: Mapping[str, Any]) -> list[Any]:
    lines = changes["changes"]
    notable = sum(line["notable"] for line in lines)
    return [
        Table(
            [
                ["Since run", line_of(changes["since"], 200)],
                ["Notable", f"{notable} of {len(lines)}"],
            ]
        ),
        Table(
            [
                [
                    "▲" if line["notable"] else "",
                    line_of(line["subject"]),
                    line["what"],
                    line_of(line["before"], 200),
                    line_of(line["now"], 200),
                    line_of(line["why"], 200) or "–",
                ]
                for line in lines
            ],
            headers=["", "Subject", "What", "Before", "Now", "Why"],
        ),
    ]


def ranking_table(ranking: Sequence[Mapping[str, Any]]) -> Any:
    rows = [
        [
            line_of(r["column"]),
            r["kind"] if r["used"] else f"{r['kind']} (not used)",
            interval_text(r["alone"]),
            interval_text(r["auc"]),
            {"up": "↑ higher", "down": "↓ lower", "none": "neither", "unknown": "–"}[
                r["direction"]
            ],
            "–" if r["cramers_v"] is None else f"{r['cramers_v']:.3f}",
            "–" if r["mutual_information"] is None else f"{r['mutual_information']:.4f}",
        ]
        for r in ranking[:MOST_COLUMNS]
    ]
    return Table(
        rows or [["–"] * 7],
        headers=[
            "Column",
            "Kind",
            "Alone (95%)",
            "Its order (95%)",
            "If positive",
            "Cramér's V",
            "Bits",
        ],
    )


def column_row(
    column: Mapping[str, Any], overall: float | None, words: tuple[str, str]
) -> list[Any]:
    """Name, spread by class, positive rate, key numbers. A table cell holds a chart or one text, no inner table."""
    from fivefold.charts import table as charts

    name = line_of(column["name"], 60) + (
        f" ({line_of(column['unit'], 40)})" if column["unit"] else ""
    )
    if not column["used"]:
        name += f" – not used: {line_of(column['why'])}"
    if column["distinct"] and any(key in column for key in ("histogram", "levels", "periods")):
        drawn = [
            chart_part(draw)
            for draw in (
                charts.distribution(column, words, compact=True),
                charts.rate(column, overall, words, compact=True),
            )
        ]
    else:
        drawn = ["–", "–"]
    return [
        name,
        *drawn,
        "; ".join(_numbers(column))
        + (f". {line_of(column['help'], 200)}" if column["help"] else ""),
    ]


def _numbers(column: Mapping[str, Any]) -> list[str]:
    """The key numbers of a column as short texts."""
    told = [column["kind"], f"{column['distinct']:,} distinct"]
    if column["missing"]["rows"]:
        told.append(f"{percent(column['missing']['share'])} missing")
    if "quantiles" in column:
        q = column["quantiles"]
        told += [
            f"median {number_text(q['p50'])}",
            f"quartiles {number_text(q['p25'])} to {number_text(q['p75'])}",
            f"range {number_text(q['min'])} to {number_text(q['max'])}",
            f"mean {number_text(column['mean'])}, SD {number_text(column['sd'])}",
            f"skew {number_text(column['skew'], 2)}",
        ]
        told += [f"{percent(column['zeros'])} zeros"] if column["zeros"] else []
    elif "levels" in column and column["levels"]["level"]:
        levels = column["levels"]
        share = levels["rows"][0] / max(1, sum(levels["rows"]))
        told.append(f"most frequent {line_of(levels['level'][0])} ({percent(share)})")
    elif "periods" in column:
        told.append(f"from {column['first'][:10]} to {column['last'][:10]}")
    elif "length" in column:
        q = column["length"]
        told += [
            f"{number_text(q['p50'])} characters (p5 to p95: {number_text(q['p5'])} to {number_text(q['p95'])})",
            f"{number_text(column['words'], 3)} words",
        ]
    return told


def missing_table(columns: Mapping[str, Any]) -> Any:
    lines = sorted(
        (c for c in columns.values() if c["missing"]["rows"]), key=lambda c: -c["missing"]["rows"]
    )
    return Table(
        [
            [
                line_of(c["name"]),
                f"{c['missing']['rows']:,}",
                percent(c["missing"]["share"]),
                share_text({k: c["missing"][f"positive_{k}"] for k in ("rate", "low", "high")}),
            ]
            for c in lines
        ],
        headers=["Column", "Missing cells", "Share", "Positive rate among them (95%)"],
    )


def pair_table(summary: Mapping[str, Any]) -> Any:
    pairs = summary["correlation"]["strongest"]
    rows = [[line_of(p["a"]), line_of(p["b"]), f"{p['value']:+.3f}"] for p in pairs]
    return Table(rows or [["no pair reaches 0.1", "", ""]], headers=["Column", "With", "Spearman"])


def outlier_table(columns: Mapping[str, Any]) -> Any:
    lines = sorted(
        (c for c in columns.values() if "outliers" in c), key=lambda c: -c["outliers"]["share"]
    )
    return Table(
        [
            [
                line_of(c["name"]),
                f"{number_text(c['outliers']['low_fence'])} to {number_text(c['outliers']['high_fence'])}",
                f"{c['outliers']['low']:,}",
                f"{c['outliers']['high']:,}",
                percent(c["outliers"]["share"]),
            ]
            for c in lines
        ],
        headers=["Column", "Fences", "Below", "Above", "Share"],
    )


def source_table(summary: Mapping[str, Any]) -> Any:
    source = dict(summary["source"])
    return fact_table(
        {key: source.pop(key) for key in ("source", "md5", "rows") if key in source} | source
    )


def fact_table(facts: Mapping[str, Any]) -> Any:
    """A two-column table; inner mappings are written as one line each."""
    rows = []
    for key, value in facts.items():
        if isinstance(value, Mapping):
            rows += [
                [line_of(f"{key}: {inner}"), line_of(v, 300) or "–"]
                for inner, v in value.items()
                if v not in (None, "")
            ]
        elif value not in (None, ""):
            rows.append([line_of(key), line_of(value, 300)])
    return Table(rows or [["–", "nothing recorded"]])


def note_table(notes: Sequence[str]) -> list[Any]:
    return [Table([[line_of(note, 600)] for note in notes], headers=["Notes"])] if notes else []


def box_rows(boxes: Sequence[Any]) -> list[Any]:
    """Value boxes in rows of `PER_ROW`."""
    return [
        Table([list(boxes[start : start + PER_ROW])]) for start in range(0, len(boxes), PER_ROW)
    ]


def side_by_side(charts: Sequence[Any]) -> list[Any]:
    """Charts two side by side, in the width of a card."""
    cells = [chart_part(chart.properties(width=330, height=240)) for chart in charts]
    return [Table([cells[start : start + 2]]) for start in range(0, len(cells), 2)]


def chart_part(chart: Any) -> Any:
    return VegaChart(spec_of(chart))


def spec_of(chart: Any) -> dict[str, Any]:
    return chart.to_dict()


def class_words(scope: Mapping[str, Any]) -> tuple[str, str]:
    return scope["negative_phrase"] or "negative", scope["positive_phrase"] or "positive"


def fidelity_tables(found: Mapping[str, Any]) -> list[Any]:
    """`fivefold.data.synthetic.fidelity.assess` as tables: what can be learnt from drawn rows, pairs of columns, single columns."""
    use, pairs = found["utility"], found["correlation_error"]
    summary = [
        ["ROC AUC, trained on real rows", auc_text(use["train_real"])],
        ["ROC AUC, trained on drawn rows", auc_text(use["train_synthetic"]) + f" {use['reason']}"],
        [
            "Spearman correlations off by, mean (largest)",
            f"{number_text(pairs['mean'])} ({number_text(pairs['max'])}) {pairs['reason']}",
        ],
    ]
    rows = [
        [
            line_of(c["column"]),
            c["kind"],
            c["statistic"] or "–",
            number_text(c["value"]),
            number_text(c["noise"]),
            percent(c["missing_real"]),
            percent(c["missing_synthetic"]),
            c["reason"],
        ]
        for c in found["columns"]
    ]
    return [
        Table(summary),
        Table(
            rows,
            headers=[
                "Column",
                "Kind",
                "Measure",
                "Difference",
                "Chance",
                "Missing, real",
                "Missing, drawn",
                "Note",
            ],
        ),
    ]


def feature_tables(recipe: Mapping[str, Any]) -> list[Any]:
    """`fivefold.training.encoding.plan` as tables: how columns are encoded, what was derived, and what was dropped and why."""
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


def setting_parts(candidate: Mapping[str, Any]) -> list[Any]:
    """The parameters of a candidate's best setting, or of all those whose mean it is."""
    settings = candidate.get("settings") or []
    if len(settings) < 2:
        return [fact_table(candidate["params"])]
    trials = {trial["number"]: trial for trial in candidate["trials"]}
    return [
        Markdown(f"The model is the mean of its {len(settings)} best settings."),
        Table(
            [
                [
                    str(s["number"] + 1),
                    auc_text(trials[s["number"]]["auc"]),
                    str(s["rounds"] or "–"),
                    params_text(s["params"]),
                ]
                for s in settings
            ],
            headers=["Trial", "Mean ROC AUC", "Rounds", "Parameters"],
        ),
    ]


def blend_parts(blend: Mapping[str, Any]) -> list[Any]:
    """The artifact `blend`: its members, its ROC AUC, and whether it is served."""
    from fivefold.training.ensemble import Ensemble

    ensemble = Ensemble.from_dict(blend)
    cells = [
        line_of(ensemble.shares),
        auc_text(ensemble.auc_mean),
        auc_text(ensemble.auc_std),
        ensemble.gain_text,
        line_of(f"{ensemble.served}: {ensemble.why}", 200),
    ]
    headers = ["Blend of", "Mean ROC AUC", "SD of folds", "Gain over the winner (95%)", "Served"]
    return [
        Markdown("## Blend"),
        Markdown(
            "A weighted mean of the algorithms' probabilities. Weights that score a fold were chosen on the other folds."
        ),
        Table([cells], headers=headers),
    ]

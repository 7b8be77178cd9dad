"""Cards: plain dicts of `lib` as Metaflow card components.

Metaflow's Markdown executes HTML, so text that comes from data goes into table cells, value boxes and charts alone, which
escape it, or through `code`. Markdown here is fixed text and numbers.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from metaflow.cards import Markdown, ProgressBar, Table, ValueBox, VegaChart

MOST_COLUMNS = 60  # columns that get charts; the others are listed in the association ranking
PER_ROW = 4        # value boxes side by side
SEVERITIES = {"error": "✖ error", "warning": "▲ warning", "passed": "✔ passed", "not_applicable": "– not judged"}


def eda_components(summary: Mapping[str, Any], changes: Mapping[str, Any] | None = None) -> list[Any]:
    """The report on a table: `summary` of `lib.summary.summarise`; `changes`: {since, changes} of an earlier run."""
    from lib import charts

    scope, o, columns = summary["scope"], summary["overview"], summary["columns"]
    words = _words(scope)
    parts = [Markdown("# Data report"), *_asked(scope), *_overview(summary), Markdown("## Findings"),
             *_findings(summary["findings"])]
    if changes:
        parts += [Markdown("## What changed"), *_changes(changes)]
    parts += [Markdown("## What goes with the target"),
              Markdown("Each column alone, on the model's own measure. 0.5 says nothing; values at or below it are chance."),
              _chart(charts.association(summary["association"]["ranking"])), _ranking(summary["association"]["ranking"])]
    if summary["trend"] and summary["trend"]["period"]:
        parts += [Markdown("## Over time"), _chart(charts.trend(summary["trend"], words))]
    ranked = [line["column"] for line in summary["association"]["ranking"]]
    shown = ranked[:MOST_COLUMNS]
    parts += [Markdown("## Columns"), Markdown(
        "Strongest association first. Left chart: how the values of each class spread (blue: negative, orange: positive; each "
        "class sums to 100%). Right chart: positive rate with its 95% interval; dashed: the whole table."),
        Table([_column_row(columns[n], o["positive_rate"], words) for n in shown],
              headers=["Column", "Spread by class", "Positive rate", "In numbers"])]
    others = [c for n, c in columns.items() if n not in shown]
    if others:
        parts.append(Table([[_text(c["name"]), c["kind"], _percent(c["missing"]["share"]), f"{c['distinct']:,}",
                             _text(c["why"] or c.get("value", "")) or "not charted"] for c in others],
                           headers=["Other column", "Kind", "Missing", "Distinct", "Note"]))
    if o["missing_cells"]:
        parts += [Markdown("## Missing cells"), _chart(charts.missing(columns)), _missing(columns)]
    if len(summary["correlation"]["columns"]) > 1:
        parts += [Markdown("## Correlations of numbers"), _chart(charts.correlation(summary["correlation"])), _pairs(summary)]
    if any("outliers" in c for c in columns.values()):
        parts += [Markdown("## Outliers"), Markdown(
            "Values beyond 1.5 interquartile ranges from the quartiles (Tukey 1977). A normal column has 0.7% of them: they are "
            "a place to look, not an error."), _chart(charts.outliers(columns)), _outliers(columns)]
    return [*parts, Markdown("## Source"), _source(summary), *_notes(summary["notes"])]


def leaderboard_components(board: Sequence[Mapping[str, Any]], winner: str, notes: Sequence[str] = ()) -> list[Any]:
    """The comparison of the algorithms: `board` of `lib.selection.rank`, `winner` an algorithm of it."""
    from lib import charts_model
    from lib.selection import title

    best = next(a for a in board if a["algorithm"] == winner)
    close = [a for a in board if a["status"] == "ok" and a["indistinguishable"] and a["algorithm"] != winner]
    names = {a["algorithm"]: title(a["algorithm"]) for a in board}
    failed = sum(a["status"] != "ok" for a in board)
    parts = [Markdown("# Leaderboard"), *_boxes([
        ValueBox("Winner", _text(title(winner), 100), "highest mean ROC AUC over the folds", theme="success"),
        ValueBox("ROC AUC", f"{best['auc_mean']:.4f}", f"± {best['auc_std']:.4f} between {len(best['fold_scores'])} folds"),
        ValueBox("As good", str(len(close)), "cannot be told from the winner" if close else "none: it stands alone"),
        ValueBox("Failed", str(failed), "algorithms without a result", theme="danger" if failed else None)]),
        _chart(charts_model.leaderboard(board, names)),
        Table([[str(a["rank"] or "–"), _text(names[a["algorithm"]]), _auc(a["auc_mean"]), _auc(a["auc_std"]), _p_value(a, winner),
                str(len(a["trials"])), f"{a['seconds']:.0f} s", _text(a["error"], 200) if a["status"] != "ok" else _params(a["params"])]
               for a in board],
              headers=["Rank", "Algorithm", "Mean ROC AUC", "SD of folds", "p against winner", "Trials", "Time", "Parameters or error"]),
        Markdown("p: DeLong's paired test on the same out-of-fold rows, adjusted by Holm. These scores chose the winner, so they "
                 "flatter it a little; the evaluation card shows rows that nothing was chosen on."), *_notes(notes)]
    searched = [a for a in board if a["trials"]]
    if searched:
        parts += [Markdown("## Searches"), *(_chart(charts_model.trials(a["trials"], names[a["algorithm"]])) for a in searched)]
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
    parts = [Markdown("# Evaluation on held-out rows"), *_asked(scope), *_boxes([
        ValueBox("ROC AUC", f"{auc['value']:.4f}", f"95% interval {auc['low']:.4f} to {auc['high']:.4f}", theme="success"),
        ValueBox("Model", _text(name, 100), _text(f"refitted on all training rows, calibrated: "
                                                  f"{(bundle_card.get('calibration') or {}).get('method', 'unknown')}", 300)),
        ValueBox("Held-out rows", f"{rows:,}", f"{positives:,} positive ({_percent(positives / rows if rows else None)})"),
        ValueBox("Threshold", f"{threshold['value']:.3f}", _text(threshold.get("why") or "chosen on training rows", 300))])]
    if evaluation.get("findings"):
        parts += _findings(evaluation["findings"])
    parts += [Markdown("## Measures"), _metrics(evaluation["metrics"]), Markdown("## At the threshold"),
              _chart(charts.confusion(c, words)), Markdown("## Curves"),
              *(_chart(draw(evaluation)) for draw in (charts.roc, charts.precision_recall, charts.calibration)),
              _chart(charts.gain(evaluation, scope.get("capacity"))), _chart(charts.cost(evaluation))]
    if evaluation.get("baselines"):
        parts += [Markdown("## Compared with"), _chart(charts.baselines(evaluation, name)), _baselines(evaluation["baselines"])]
    if evaluation.get("importance"):
        parts += [Markdown("## What the model uses"), _chart(charts.importance(evaluation["importance"])), Markdown(
            "Columns that stand in for each other share their importance: neither looks important alone.")]
    if evaluation.get("segments"):
        parts += [Markdown("## Groups"), _segments(evaluation["segments"])]
    return [*parts, Markdown("## Provenance"), _facts({
        "parameters": _params(bundle_card.get("params") or {}), "rounds": bundle_card.get("rounds"),
        **(bundle_card.get("provenance") or {})})]


def arm_components(candidate: Mapping[str, Any]) -> list[Any]:
    """The finished search of one algorithm: a candidate of `lib.tuning.tune`."""
    from lib import charts_model
    from lib.selection import title

    name = title(candidate["algorithm"])
    pruned = sum(t["state"] == "pruned" for t in candidate["trials"])
    return [*_boxes([ValueBox("Algorithm", _text(name, 100), f"{candidate['seconds']:.0f} s of search"),
                     ValueBox("Mean ROC AUC", _auc(candidate["auc_mean"]), f"SD of the folds {_auc(candidate['auc_std'])}"),
                     ValueBox("Trials", str(len(candidate["trials"])), f"{pruned} given up early")]),
            _chart(charts_model.trials(candidate["trials"], name)), _facts(candidate["params"])]


class Live:
    """The card of a running search: a bar, a line of status and the best so far, refreshed after each fold.

    A card never stops a search: whatever goes wrong in drawing is swallowed after the first word about it.
    """

    def __init__(self, card: Any, algorithm: str):
        from lib import charts_model
        from lib.selection import title

        self._card, self._title, self._trials, self._broken = card, title(algorithm), [], False
        self._draw, self._began = charts_model.trials, time.monotonic()
        self._bar = ProgressBar(max=100, label=_text(self._title), unit="%", metadata="preparing the folds")
        self._status = ValueBox("Best so far", "–", "no trial has ended yet")
        self._chart = _chart(self._draw([], self._title))
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
        number, fold, folds = state["trial"], state["fold"], state["folds"]
        ended = fold == folds
        if self._trials and self._trials[-1]["number"] == number:
            self._trials.pop()
        self._trials.append({"number": number, "auc": state["auc"], "state": "complete" if ended else "pruned",
                             "seconds": time.monotonic() - self._began})
        endless = state["of"] >= 10_000  # a search by the clock
        share = 100 * fold / folds if endless else 100 * (number + fold / folds) / max(1, state["of"])
        of = "" if endless else f" of {state['of']}"
        self._bar.update(round(min(100.0, share)), metadata=f"trial {number + 1}{of}, fold {fold} of {folds}, "
                                                            f"{time.monotonic() - self._began:.0f} s")
        best = max((v for v in (state.get("best"), state["auc"] if ended else None) if v is not None), default=None)
        if best is not None:
            self._status.update(value=f"{best:.4f}", subtitle=f"mean ROC AUC over {folds} folds; this trial {state['auc']:.4f}")
        self._chart.update(_spec(self._draw(self._trials, self._title)))
        self._card.refresh()

    def _safely(self, draw: Any) -> None:
        if self._broken:
            return
        try:
            draw()
        except Exception as error:  # a report must not cost a search
            self._broken = True
            print(f"The live card stopped: {type(error).__name__}: {error}")


def code(text: object) -> str:
    """Text from data as a Markdown code span: one line, no backticks, and no angle brackets or ampersands of HTML.

    >>> code("a`b <script>")
    '`ab ‹script›`'
    """
    line = " ".join(str(text).replace("`", "").split()).replace("<", "‹").replace(">", "›")
    return f"`{line or '(empty)'}`"


def _asked(scope: Mapping[str, Any]) -> list[Any]:
    """The problem in the words of its scope, as a table: it is the user's text."""
    title, question = scope.get("title"), scope.get("question")
    rows = [[label, _text(value, 400)] for label, value in (
        ("Problem", title), ("Question", question), ("Target", scope.get("target")),
        ("Positive", f"{scope['positive']} ({scope.get('positive_phrase')})" if scope.get("positive") else "")) if value]
    return [Table(rows)] if rows else []


def _overview(summary: Mapping[str, Any]) -> list[Any]:
    o = summary["overview"]
    kinds = ", ".join(f"{n} {kind}" for kind, n in o["kinds"].items())
    twins, bad = o["duplicated_rows"], [f for f in summary["findings"] if f["severity"] in ("error", "warning")]
    return _boxes([
        ValueBox("Rows", f"{o['rows']:,}", f"{o['rows'] - o['labelled']:,} without a label" if o["rows"] > o["labelled"] else "all with a label"),
        ValueBox("Columns", f"{o['columns']:,}", kinds or "none"),
        ValueBox("Positive rate", _percent(o["positive_rate"]),
                 f"95% interval {_percent(o['positive_low'])} to {_percent(o['positive_high'])}; {o['positives']:,} rows"),
        ValueBox("Missing cells", _percent(o["missing_share"]), f"{o['missing_cells']:,} cells"),
        ValueBox("Repeated rows", f"{twins:,}", "equal in all columns that a model may use"),
        ValueBox("Memory", f"{o['memory_bytes'] / 1e6:,.1f} MB", "of the typed table"),
        ValueBox("To look at", f"{len(bad)}", "findings that are not passed", theme="warning" if bad else "success"),
        ValueBox("Time column", _text(summary["scope"]["time_column"] or "none", 100), "rows are split by it" if summary["scope"]["time_column"]
                 else "rows are split at random")])


def _findings(found: Sequence[Mapping[str, str]]) -> list[Any]:
    """Errors and warnings in full, then all that passed in one line, then all that could not be judged in one more."""
    parts: list[Any] = []
    rows = [[SEVERITIES[f["severity"]], _text(f["subject"]), f["code"], _text(f["found"], 400), _text(f["expected"], 400) or "–",
             _text(f["action"], 400) or "–"] for severity in ("error", "warning") for f in found if f["severity"] == severity]
    if rows:
        parts.append(Table(rows, headers=["", "Subject", "Check", "Found", "Expected", "To do"]))
    folded = []
    for severity in ("passed", "not_applicable"):
        codes = [f["code"] for f in found if f["severity"] == severity]
        if codes:
            folded.append([f"{SEVERITIES[severity]} ({len(codes)})", _text(", ".join(dict.fromkeys(codes)), 2000)])
    if folded:
        parts.append(Table(folded))
    return parts or [Markdown("Nothing was checked.")]


def _changes(changes: Mapping[str, Any]) -> list[Any]:
    lines = changes["changes"]
    notable = sum(line["notable"] for line in lines)
    return [Table([["Since run", _text(changes["since"], 200)], ["Notable", f"{notable} of {len(lines)}"]]),
            Table([["▲" if line["notable"] else "", _text(line["subject"]), line["what"], _text(line["before"], 200),
                    _text(line["now"], 200), _text(line["why"], 200) or "–"] for line in lines],
                  headers=["", "Subject", "What", "Before", "Now", "Why"])]


def _ranking(ranking: Sequence[Mapping[str, Any]]) -> Any:
    rows = [[_text(r["column"]), r["kind"] if r["used"] else f"{r['kind']} (not used)", _interval(r["alone"]), _interval(r["auc"]),
             {"up": "↑ higher where positive", "down": "↓ lower where positive", "none": "– neither", "unknown": "–"}[r["direction"]],
             "–" if r["cramers_v"] is None else f"{r['cramers_v']:.3f}",
             "–" if r["mutual_information"] is None else f"{r['mutual_information']:.4f}"] for r in ranking[:MOST_COLUMNS]]
    return Table(rows or [["–"] * 7], headers=["Column", "Kind", "ROC AUC alone (95%)", "ROC AUC of its order (95%)", "Direction",
                                               "Cramér's V", "Mutual information (bits)"])


def _column_row(column: Mapping[str, Any], overall: float | None, words: tuple[str, str]) -> list[Any]:
    """Name and facts, spread by class, positive rate, key numbers."""
    from lib import charts

    name = _text(column["name"]) + (f" ({_text(column['unit'])})" if column["unit"] else "")
    charted = any(key in column for key in ("histogram", "levels", "periods")) and column["distinct"]
    first = Table([[name], [column["kind"] + ("" if column["used"] else f", not used: {_text(column['why'])}")],
                   *([[_text(column["help"], 200)]] if column["help"] else [])])
    return [first, _chart(charts.distribution(column, words, compact=True)) if charted else "–",
            _chart(charts.rate(column, overall, words, compact=True)) if charted else "–", Table(_numbers(column))]


def _numbers(column: Mapping[str, Any]) -> list[list[str]]:
    missing = column["missing"]
    rows = [["missing", _percent(missing["share"])], ["distinct", f"{column['distinct']:,}"]]
    if "quantiles" in column:
        q = column["quantiles"]
        rows += [["median", _number(q["p50"])], ["quartiles", f"{_number(q['p25'])} to {_number(q['p75'])}"],
                 ["range", f"{_number(q['min'])} to {_number(q['max'])}"], ["mean ± SD", f"{_number(column['mean'])} ± {_number(column['sd'])}"],
                 ["skew", _number(column["skew"])], ["zeros", _percent(column["zeros"])]]
    elif "levels" in column and column["levels"]["level"]:
        levels = column["levels"]
        total = max(1, sum(levels["rows"]))
        rows.append(["most frequent", f"{_text(levels['level'][0])} ({_percent(levels['rows'][0] / total)})"])
    elif "periods" in column:
        rows += [["first", column["first"][:10]], ["last", column["last"][:10]]]
    elif "length" in column:
        rows += [["characters", f"{_number(column['length']['p50'])} (p5 to p95: {_number(column['length']['p5'])} to "
                                f"{_number(column['length']['p95'])})"], ["words", _number(column["words"])]]
    return rows


def _missing(columns: Mapping[str, Any]) -> Any:
    lines = sorted((c for c in columns.values() if c["missing"]["rows"]), key=lambda c: -c["missing"]["rows"])
    return Table([[_text(c["name"]), f"{c['missing']['rows']:,}", _percent(c["missing"]["share"]),
                   _share({k: c["missing"][f"positive_{k}"] for k in ("rate", "low", "high")})] for c in lines],
                 headers=["Column", "Missing cells", "Share", "Positive rate among them (95%)"])


def _pairs(summary: Mapping[str, Any]) -> Any:
    pairs = summary["correlation"]["strongest"]
    return Table([[_text(p["a"]), _text(p["b"]), f"{p['value']:+.3f}"] for p in pairs] or [["no pair reaches 0.1", "", ""]],
                 headers=["Column", "With", "Spearman"])


def _outliers(columns: Mapping[str, Any]) -> Any:
    lines = sorted((c for c in columns.values() if "outliers" in c), key=lambda c: -c["outliers"]["share"])
    return Table([[_text(c["name"]), f"{_number(c['outliers']['low_fence'])} to {_number(c['outliers']['high_fence'])}",
                   f"{c['outliers']['low']:,}", f"{c['outliers']['high']:,}", _percent(c["outliers"]["share"])] for c in lines],
                 headers=["Column", "Fences", "Below", "Above", "Share"])


def _source(summary: Mapping[str, Any]) -> Any:
    source = dict(summary["source"])
    return _facts({key: source.pop(key) for key in ("source", "md5", "rows") if key in source} | source)


def _facts(facts: Mapping[str, Any]) -> Any:
    """A two-column table; inner mappings are written as one line each."""
    rows = []
    for key, value in facts.items():
        if isinstance(value, Mapping):
            rows += [[_text(f"{key}: {inner}"), _text(v, 300) or "–"] for inner, v in value.items() if v not in (None, "")]
        elif value not in (None, ""):
            rows.append([_text(key), _text(value, 300)])
    return Table(rows or [["–", "nothing recorded"]])


def _metrics(metrics: Mapping[str, Any]) -> Any:
    rows = []
    for name, found in metrics.items():
        if not isinstance(found, Mapping):
            found = {"value": found, "low": None, "high": None}
        told = "–" if found["low"] is None else f"{_number(found['low'], 4)} to {_number(found['high'], 4)}"
        rows.append([_text(name.replace("_", " ")), _number(found["value"], 4), told])
    return Table(rows or [["–"] * 3], headers=["Measure", "Value", "95% interval"])


def _baselines(lines: Sequence[Mapping[str, Any]]) -> Any:
    return Table([[_text(b["name"]), f"{_auc(b['auc'])} ({_auc(b['low'])} to {_auc(b['high'])})",
                   "–" if b.get("gain") is None else f"{b['gain']:+.4f}", "–" if b.get("p_value") is None else f"{b['p_value']:.2g}"]
                  for b in lines], headers=["Other", "ROC AUC (95%)", "Ours minus theirs", "p (DeLong)"])


def _segments(lines: Sequence[Mapping[str, Any]]) -> Any:
    return Table([[_text(s["column"]), _text(s["level"]), f"{s['rows']:,}", _percent(s["positive_rate"]), _percent(s["mean_probability"]),
                   _percent(s["flagged"]), _percent(s["recall"]), _percent(s["false_alarm_rate"]),
                   _interval({"value": s["auc"], "low": s["auc_low"], "high": s["auc_high"]}) if s["auc"] is not None else _text(s["note"])]
                  for s in lines], headers=["Column", "Group", "Rows", "Positive", "Predicted", "Flagged", "Recall", "False alarms", "ROC AUC (95%)"])


def _notes(notes: Sequence[str]) -> list[Any]:
    return [Table([[_text(note, 600)] for note in notes], headers=["Notes"])] if notes else []


def _boxes(boxes: Sequence[Any]) -> list[Any]:
    """Value boxes in rows of `PER_ROW`."""
    return [Table([list(boxes[start:start + PER_ROW])]) for start in range(0, len(boxes), PER_ROW)]


def _chart(chart: Any) -> Any:
    return VegaChart(_spec(chart))


def _spec(chart: Any) -> dict[str, Any]:
    return chart.to_dict()


def _words(scope: Mapping[str, Any]) -> tuple[str, str]:
    return scope["negative_phrase"] or "negative", scope["positive_phrase"] or "positive"


def _p_value(arm: Mapping[str, Any], winner: str) -> str:
    if arm["algorithm"] == winner or arm["p_value"] is None:
        return "winner" if arm["algorithm"] == winner else "–"
    return f"{arm['p_value']:.2g}" + (" (cannot be told apart)" if arm["indistinguishable"] else "")


def _params(params: Mapping[str, Any]) -> str:
    return _text(", ".join(f"{k} {_number(v) if isinstance(v, float) else v}" for k, v in params.items()), 300) or "defaults"


def _interval(found: Mapping[str, Any] | None) -> str:
    return "–" if not found else f"{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})"


def _share(found: Mapping[str, Any]) -> str:
    return "–" if found["rate"] is None else f"{_percent(found['rate'])} ({_percent(found['low'])} to {_percent(found['high'])})"


def _auc(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}%"


def _number(value: float | None, digits: int = 5) -> str:
    return "–" if value is None else f"{value:,.{digits}g}"


def _text(value: object, most: int = 80) -> str:
    """A value as one line of at most `most` characters, for a table cell or a value box."""
    line = " ".join(str(value).split())
    return line if len(line) <= most else line[:most - 1] + "…"

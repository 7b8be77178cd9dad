"""Changes: how a table's summary differs from the summary of an earlier run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from fivefold.core.two_sample import psi_by_chance, smoothed_psi

PSI_NOTABLE = 0.1  # the customary bound of "some shift" (Siddiqi 2006)
ALPHA = 0.001  # false-alarm rate of each column's tests, when both tables are drawn alike
RATE_ALPHA = 0.01  # of the test of the positive rate
MISSING_NOTABLE = 0.01  # change of the missing share, besides its test

Counts = tuple[list[float], list[float]]


def compare(summary: Mapping[str, Any], earlier: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What changed since an earlier summary: [{subject, what, before, now, notable, why}], notable ones first.

    Always rows and the positive rate (two-proportion z test); else only what differs: columns that came, went or
    changed kind, distributions (PSI), missing shares, levels. `before`, `now` and `why` are short texts. The tests
    take the tables as two independent samples; where one contains the other they are conservative.
    """
    if summary["format"] != earlier.get("format"):
        return [
            _line(
                "table",
                "summary",
                "another format",
                "not comparable",
                why="made by another version",
            )
        ]
    now, before = summary["overview"], earlier["overview"]
    lines = [_line("table", "rows", f"{before['rows']:,}", f"{now['rows']:,}")]
    p = two_proportions(before["positives"], before["labelled"], now["positives"], now["labelled"])
    lines.append(
        _line(
            "target",
            "positive rate",
            _percent(before["positive_rate"]),
            _percent(now["positive_rate"]),
            p < RATE_ALPHA,
            f"two-proportion z test: p = {p:.2g}",
        )
    )
    lines += [
        _line("target", what, earlier["scope"][key], summary["scope"][key], True)
        for key, what in (("target", "column"), ("positive", "positive label"))
        if summary["scope"][key] != earlier["scope"][key]
    ]
    olds, news = earlier["columns"], summary["columns"]
    lines += [_line(n, "column", olds[n]["kind"], "gone", True) for n in olds if n not in news]
    lines += [_line(n, "column", "absent", news[n]["kind"], True) for n in news if n not in olds]
    for name in (n for n in news if n in olds):
        lines += _column(name, news[name], olds[name], now["rows"], before["rows"])
    return sorted(lines, key=lambda line: not line["notable"])


def two_proportions(hits: int, of: int, other_hits: int, other_of: int) -> float:
    """Two-sided p value of the pooled z test that two shares are equal; 1 where it cannot be judged.

    >>> round(two_proportions(50, 100, 65, 100), 4)
    0.0319
    """
    if not of or not other_of:
        return 1.0
    pooled = (hits + other_hits) / (of + other_of)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / of + 1 / other_of))
    return (
        math.erfc(abs(hits / of - other_hits / other_of) / spread / math.sqrt(2)) if spread else 1.0
    )


def _column(
    name: str, now: Mapping[str, Any], before: Mapping[str, Any], rows: int, rows_before: int
) -> list[dict[str, Any]]:
    """The lines of a column that both tables have."""
    if now["kind"] != before["kind"]:
        return [_line(name, "kind", before["kind"], now["kind"], True)]
    lines = []
    gone, gone_before = now["missing"]["rows"], before["missing"]["rows"]
    p = two_proportions(gone_before, rows_before, gone, rows)
    far = abs((now["missing"]["share"] or 0) - (before["missing"]["share"] or 0)) >= MISSING_NOTABLE
    if far or p < ALPHA:
        lines.append(
            _line(
                name,
                "missing",
                _percent(before["missing"]["share"]),
                _percent(now["missing"]["share"]),
                far and p < ALPHA,
                f"two-proportion z test: p = {p:.2g}",
            )
        )
    if counts := _aligned(now, before):
        shift, bound = (
            smoothed_psi(*counts),
            psi_by_chance(len(counts[0]), sum(counts[0]), sum(counts[1]), ALPHA),
        )
        if shift >= bound:
            lines.append(
                _line(
                    name,
                    "distribution",
                    _typical(before),
                    _typical(now),
                    shift >= PSI_NOTABLE,
                    f"PSI {shift:.3f}; by chance alone at most {bound:.3f}",
                )
            )
    if (
        "levels" in now
        and "levels" in before
        and (new := [v for v in now["levels"]["level"] if v not in before["levels"]["level"]])
    ):
        whole = not before["levels"]["other"]
        lines.append(
            _line(
                name,
                "new levels",
                f"{before['distinct']:,} levels",
                ", ".join(new[:5]) + (" …" if len(new) > 5 else ""),
                whole,
                "not seen earlier" if whole else "not among the 20 most frequent earlier",
            )
        )
    return lines


def _aligned(now: Mapping[str, Any], before: Mapping[str, Any]) -> Counts | None:
    """(earlier counts, counts now) over common bins; None where the two cannot be laid over each other."""
    if "histogram" in now and "histogram" in before:
        return align_histograms(before["histogram"], now["histogram"])
    if "levels" in now and "levels" in before:
        return align_levels(before["levels"], now["levels"])
    return None


def align_histograms(before: Mapping[str, Any], now: Mapping[str, Any]) -> Counts:
    """Both histograms over the edges they share; what lies beyond goes into the two outer bins.

    `fivefold.profiling.column_profile.nice_edges` makes edges nest, except 2s with 5s. Where hardly any are shared, as after a change of
    unit, today's counts are spread evenly within their bins over the earlier edges.
    """
    tolerance = 1e-6 * (now["edges"][1] - now["edges"][0])
    shared = [
        e for e in before["edges"] if any(abs(e - other) <= tolerance for other in now["edges"])
    ]
    if len(shared) < min(5, len(before["edges"])):
        below = np.cumsum([now["below"], *now["rows"]])
        spread = np.interp(
            before["edges"], now["edges"], below, left=0, right=below[-1] + now["above"]
        )
        today = np.diff([0, *spread, below[-1] + now["above"]])
        return [float(v) for v in (before["below"], *before["rows"], before["above"])], [
            float(v) for v in today
        ]

    def counts(histogram: Mapping[str, Any]) -> list[float]:
        middles = [
            (a + b) / 2 for a, b in zip(histogram["edges"], histogram["edges"][1:], strict=False)
        ]
        places = np.searchsorted(shared, middles)
        found = np.bincount(places, weights=histogram["rows"], minlength=len(shared) + 1)
        found[0] += histogram["below"]
        found[-1] += histogram["above"]
        return [float(v) for v in found]

    return counts(before), counts(now)


def align_levels(before: Mapping[str, Any], now: Mapping[str, Any]) -> Counts:
    """Both lists of levels over the levels that each of them counts, and the rest as one more bin."""
    tables = [dict(zip(t["level"], t["rows"], strict=False)) for t in (before, now)]
    whole = [not t["other"] for t in (before, now)]
    kept = sorted(
        {
            level
            for table in tables
            for level in table
            if all(
                level in other or complete for other, complete in zip(tables, whole, strict=True)
            )
        }
    )
    counts = [
        [float(t.get(level, 0)) for level in kept]
        + [float(sum(full["rows"]) - sum(t.get(level, 0) for level in kept))]
        for t, full in zip(tables, (before, now), strict=True)
    ]
    if not counts[0][-1] and not counts[1][-1]:
        counts = [c[:-1] for c in counts]
    return counts[0], counts[1]


def _typical(column: Mapping[str, Any]) -> str:
    if "quantiles" in column:
        low, middle, high = (
            "?" if (v := column["quantiles"][k]) is None else f"{v:g}" for k in ("p5", "p50", "p95")
        )
        return f"median {middle}, p5 to p95: {low} to {high}"
    levels = column["levels"]
    total = max(1, sum(levels["rows"]))
    return ", ".join(
        f"{level} {_percent(rows / total)}"
        for level, rows in list(zip(levels["level"], levels["rows"], strict=False))[:3]
    )


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{100 * share:.1f}%"


def _line(
    subject: str, what: str, before: str, now: str, notable: bool = False, why: str = ""
) -> dict[str, Any]:
    return {
        "subject": subject,
        "what": what,
        "before": before,
        "now": now,
        "notable": notable,
        "why": why,
    }

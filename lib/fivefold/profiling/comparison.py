"""Comparison: how a table's summary differs from the summary of an earlier run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fivefold.core.text import percent
from fivefold.core.two_sample import psi_by_chance, smoothed_psi

PSI_NOTABLE = 0.1  # the customary bound of "some shift" (Siddiqi 2006)
ALPHA = (
    0.001  # false-alarm rate of each column's tests, when both tables have the same distribution
)
RATE_ALPHA = 0.01  # of the test of the positive rate
MISSING_NOTABLE = 0.01  # change of the missing share, besides its test

Counts = tuple[list[float], list[float]]


@dataclass(frozen=True)
class Change:
    """One difference between two tables; `before`, `now` and `why` are short texts."""

    subject: str
    what: str
    before: str
    now: str
    notable: bool = False
    why: str = ""


def compare(summary: Mapping[str, Any], earlier: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what changed since an earlier summary, as `Change` in plain form, notable ones first.

    Always rows and the positive rate (two-proportion z test); else only what differs: columns that
    came, went or changed kind, distributions (PSI), missing shares, levels. The tests take the
    tables as two independent samples; where one contains the other they are conservative.
    """
    if summary["format"] == earlier.get("format"):
        changes = [*_table_changes(summary, earlier), *_column_changes(summary, earlier)]
    else:
        why = "made by another version"
        changes = [Change("table", "summary", "another format", "not comparable", why=why)]
    return [asdict(change) for change in sorted(changes, key=lambda change: not change.notable)]


def _table_changes(summary: Mapping[str, Any], earlier: Mapping[str, Any]) -> Iterator[Change]:
    now, before = summary["overview"], earlier["overview"]
    p = two_proportions(before["positives"], before["labelled"], now["positives"], now["labelled"])
    yield Change("table", "rows", f"{before['rows']:,}", f"{now['rows']:,}")
    shares = percent(before["positive_rate"]), percent(now["positive_rate"])
    yield Change("target", "positive rate", *shares, p < RATE_ALPHA, _z_test(p))
    for key, what in (("target", "column"), ("positive", "positive label")):
        old, new = earlier["scope"][key], summary["scope"][key]
        if old != new:
            yield Change("target", what, old, new, notable=True)


def _column_changes(summary: Mapping[str, Any], earlier: Mapping[str, Any]) -> Iterator[Change]:
    olds, news = earlier["columns"], summary["columns"]
    rows_before, rows = earlier["overview"]["rows"], summary["overview"]["rows"]
    for name, old in olds.items():
        if name not in news:
            yield Change(name, "column", old["kind"], "gone", notable=True)
    for name, new in news.items():
        if name not in olds:
            yield Change(name, "column", "absent", new["kind"], notable=True)
    for name, new in news.items():
        old = olds.get(name)
        if old is None:
            continue
        if new["kind"] != old["kind"]:
            yield Change(name, "kind", old["kind"], new["kind"], notable=True)
            continue
        yield from _missing_changes(name, new["missing"], old["missing"], rows, rows_before)
        yield from _distribution_changes(name, new, old)
        yield from _level_changes(name, new, old)


def two_proportions(hits: int, of: int, other_hits: int, other_of: int) -> float:
    """Return the two-sided p value of the pooled z test that two shares are equal; 1 without rows.

    >>> round(two_proportions(50, 100, 65, 100), 4)
    0.0319
    """
    if not of or not other_of:
        return 1.0
    pooled = (hits + other_hits) / (of + other_of)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / of + 1 / other_of))
    if not spread:
        return 1.0
    return math.erfc(abs(hits / of - other_hits / other_of) / spread / math.sqrt(2))


def align_histograms(before: Mapping[str, Any], now: Mapping[str, Any]) -> Counts:
    """Return the counts of both histograms over the edges they share, with two open outer bins.

    `fivefold.profiling.column_profile.nice_edges` makes edges nest, except 2s with 5s. Where
    hardly any are shared, as after a change of unit, today's counts are spread evenly within their
    bins over the earlier edges.
    """
    edges = np.array(now["edges"])
    tolerance = 1e-6 * (edges[1] - edges[0])
    shared = [edge for edge in before["edges"] if np.abs(edges - edge).min() <= tolerance]
    if len(shared) < min(5, len(before["edges"])):
        earlier = [float(rows) for rows in (before["below"], *before["rows"], before["above"])]
        return earlier, _spread(now, before["edges"])
    return _counts_between(before, shared), _counts_between(now, shared)


def _spread(histogram: Mapping[str, Any], edges: list[float]) -> list[float]:
    """Return the counts between other edges, rows spread evenly within their bins."""
    below = np.cumsum([histogram["below"], *histogram["rows"]])
    total = below[-1] + histogram["above"]
    at_edges = np.interp(edges, histogram["edges"], below, left=0, right=total)
    return [float(rows) for rows in np.diff([0, *at_edges, total])]


def _counts_between(histogram: Mapping[str, Any], edges: list[float]) -> list[float]:
    """Return the counts between some of a histogram's own edges."""
    ends = np.array(histogram["edges"])
    middles = (ends[:-1] + ends[1:]) / 2
    bins = np.searchsorted(edges, middles)
    counts = np.bincount(bins, weights=histogram["rows"], minlength=len(edges) + 1)
    counts[0] += histogram["below"]
    counts[-1] += histogram["above"]
    return [float(rows) for rows in counts]


def align_levels(before: Mapping[str, Any], now: Mapping[str, Any]) -> Counts:
    """Return the counts of the levels that both lists count, and of the rest as one more bin."""
    old = dict(zip(before["level"], before["rows"], strict=False))
    new = dict(zip(now["level"], now["rows"], strict=False))
    kept = set(old) & set(new)
    # A list without "other" counts every level, those it does not name with 0 rows.
    if not before["other"]:
        kept |= set(new)
    if not now["other"]:
        kept |= set(old)
    counts = []
    for rows, levels in ((old, before), (new, now)):
        of_kept = [float(rows.get(level, 0)) for level in sorted(kept)]
        rest = float(sum(levels["rows"]) - sum(rows.get(level, 0) for level in kept))
        counts.append([*of_kept, rest])
    if not counts[0][-1] and not counts[1][-1]:
        counts = [rows[:-1] for rows in counts]
    return counts[0], counts[1]


def _missing_changes(
    name: str, now: Mapping[str, Any], before: Mapping[str, Any], rows: int, rows_before: int
) -> Iterator[Change]:
    p = two_proportions(before["rows"], rows_before, now["rows"], rows)
    is_large = abs((now["share"] or 0) - (before["share"] or 0)) >= MISSING_NOTABLE
    if is_large or p < ALPHA:
        shares = percent(before["share"]), percent(now["share"])
        yield Change(name, "missing", *shares, is_large and p < ALPHA, _z_test(p))


def _distribution_changes(
    name: str, now: Mapping[str, Any], before: Mapping[str, Any]
) -> Iterator[Change]:
    if "histogram" in now and "histogram" in before:
        old, new = align_histograms(before["histogram"], now["histogram"])
    elif "levels" in now and "levels" in before:
        old, new = align_levels(before["levels"], now["levels"])
    else:
        return
    shift = smoothed_psi(old, new)
    bound = psi_by_chance(len(old), sum(old), sum(new), ALPHA)
    if shift >= bound:
        why, notable = f"PSI {shift:.3f}; by chance alone at most {bound:.3f}", shift >= PSI_NOTABLE
        yield Change(name, "distribution", _typical(before), _typical(now), notable, why)


def _level_changes(
    name: str, now: Mapping[str, Any], before: Mapping[str, Any]
) -> Iterator[Change]:
    if "levels" not in now or "levels" not in before:
        return
    known = before["levels"]["level"]
    new = [level for level in now["levels"]["level"] if level not in known]
    if not new:
        return
    all_were_listed = not before["levels"]["other"]
    why = "not seen earlier" if all_were_listed else "not among the 20 most frequent earlier"
    shown = ", ".join(new[:5]) + (" …" if len(new) > 5 else "")
    yield Change(name, "new levels", f"{before['distinct']:,} levels", shown, all_were_listed, why)


def _typical(column: Mapping[str, Any]) -> str:
    """Return what the values of a column are like."""
    if "quantiles" in column:
        ends = [column["quantiles"][key] for key in ("p5", "p50", "p95")]
        low, middle, high = ("?" if value is None else f"{value:g}" for value in ends)
        return f"median {middle}, p5 to p95: {low} to {high}"
    levels = column["levels"]
    total = max(1, sum(levels["rows"]))
    top = list(zip(levels["level"], levels["rows"], strict=False))[:3]
    return ", ".join(f"{level} {percent(rows / total)}" for level, rows in top)


def _z_test(p: float) -> str:
    return f"two-proportion z test: p = {p:.2g}"

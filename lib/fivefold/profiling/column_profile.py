"""Profiles: what one column looks like, alone and by target, as a small plain dict."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np
import pandas as pd

from fivefold.core.intervals import wilson
from fivefold.core.schema import Column
from fivefold.data.missing_markers import DATE_CODES, DAYS_APART

TOP_LEVELS, MAX_BINS, MAX_PERIODS = 20, 30, 60
FEW_VALUES = 12  # distinct numbers up to which each value is a group of its own
QUANTILES = {
    "min": 0.0,
    "p1": 0.01,
    "p5": 0.05,
    "p25": 0.25,
    "p50": 0.5,
    "p75": 0.75,
    "p95": 0.95,
    "p99": 0.99,
    "max": 1.0,
}
_UNITS = {
    "day": "D",
    "week": "W-SUN",
    "month": "M",
    "quarter": "Q-DEC",
    "year": "Y-DEC",
}  # weeks start on Monday


def profile(values: pd.Series, column: Column, y: np.ndarray) -> dict[str, Any]:
    """Name, kind, missing cells and distinct values of a typed column, and what its kind adds; shapes (rows,).

    numeric: quantiles, mean, sd, skew, zeros (share), outliers, histogram, groups. categorical, boolean: levels.
    date: first, last, periods. text: length. constant: value. Every group has rates as `rates`.
    """
    gone = values.isna().to_numpy()
    among = rates(np.where(gone, 0, -1), y, 1)
    missing = {
        "rows": among["rows"][0],
        "share": number(gone.mean()) if len(values) else None,
        **{f"positive_{key}": among[key][0] for key in ("rate", "low", "high")},
    }
    told: dict[str, Any] = {
        "name": column.name,
        "kind": column.kind,
        "used": column.used,
        "why": column.why,
        "missing": missing,
        "distinct": 0,
    }
    if column.kind == "numeric":
        return told | _numeric(values.to_numpy(dtype="float64"), column, y)
    if column.kind in ("categorical", "boolean"):
        return told | _levels(values, column, y)
    if column.kind == "date":
        return told | _dates(values, y)
    present = values.dropna()
    told["distinct"] = int(present.nunique())
    if column.kind == "text" and len(present):
        told["length"] = quantiles(np.sort(present.str.len().to_numpy(dtype="float64")))
        told["words"] = number(float(present.iloc[:2000].str.count(r"\S+").mean()))
    if column.kind == "constant" and len(present):
        told["value"] = shorten(str(present.iloc[0]))
    return told


def rates(groups: np.ndarray, y: np.ndarray, count: int) -> dict[str, list[Any]]:
    """{rows, negative, positive, rate, low, high}, a list of `count` each; group -1 is in none, y -1 in rows alone.

    rate is the share of positives among labelled rows, low and high its Wilson 95% interval; None without any.
    """
    inside = groups >= 0
    table = np.bincount(groups[inside] * 3 + y[inside] + 1, minlength=3 * count).reshape(count, 3)
    lines = [(int(table[i, 2]), int(table[i, 1] + table[i, 2])) for i in range(count)]
    bounds = [wilson(hits, of) if of else (math.nan, math.nan) for hits, of in lines]
    return {
        "rows": table.sum(axis=1).tolist(),
        "negative": table[:, 1].tolist(),
        "positive": table[:, 2].tolist(),
        "rate": [number(hits / of, 4) if of else None for hits, of in lines],
        "low": [number(low, 4) for low, _ in bounds],
        "high": [number(high, 4) for _, high in bounds],
    }


def quantiles(ordered: np.ndarray) -> dict[str, float | None]:
    """{min, p1, p5, p25, p50, p75, p95, p99, max} of sorted values (linear interpolation)."""
    return {
        key: number(v)
        for key, v in zip(QUANTILES, np.quantile(ordered, list(QUANTILES.values())), strict=True)
    }


def tukey(ordered: np.ndarray) -> dict[str, Any]:
    """{low_fence, high_fence, low, high, share} of sorted values: counts beyond 1.5 IQR from the quartiles.

    Tukey (1977), Exploratory Data Analysis. Of a normal column 0.7% of values lie outside.
    """
    first, third = np.quantile(ordered, [0.25, 0.75])
    reach = 1.5 * (third - first)
    below = int(np.searchsorted(ordered, first - reach, side="left"))
    above = len(ordered) - int(np.searchsorted(ordered, third + reach, side="right"))
    return {
        "low_fence": number(first - reach),
        "high_fence": number(third + reach),
        "low": below,
        "high": above,
        "share": number((below + above) / len(ordered)),
    }


def nice_edges(low: float, high: float, integer: bool = False) -> np.ndarray:
    """At most 31 edges around low..high on whole multiples of 1, 2 or 5 times a power of ten.

    Two samples of one column thus share their edges, or one's edges are among the other's. Whole numbers get edges
    half a unit lower, so that each bin holds the same whole numbers. Bins are closed on the left.

    >>> nice_edges(0.3, 4.7).round(1).tolist()[:3]
    [0.2, 0.4, 0.6]
    """
    span = high / 2 - low / 2  # halves: the span of the largest floats would overflow
    if not math.isfinite(span) or span <= 1e-12 * max(abs(low), abs(high), 1e-300):
        span = 0.0
    power = math.floor(math.log10(span / MAX_BINS)) if span > 0 else 0
    for step in (m * 10.0**p for p in range(power, power + 4) for m in (1.0, 2.0, 5.0)):
        step, shift = (max(step, 1.0), -0.5) if integer else (step, 0.0)
        first, last = math.floor((low - shift) / step), math.floor((high - shift) / step) + 1
        if last - first <= MAX_BINS:
            return np.array([float(f"{k * step:.12g}") for k in range(first, last + 1)]) + shift
    return np.array([low, np.nextafter(high, math.inf)])


def by_period(dates: pd.Series, y: np.ndarray) -> dict[str, Any]:
    """{unit, omitted, period, ...`rates`}: rows by day, week, month, quarter or year, whichever gives at most 60.

    Months are taken where they are at least three; period is its first day (ISO); empty periods are listed.
    `omitted` counts the dates that are not among `_shown`.
    """
    present = dates.notna().to_numpy()
    if not present.any():
        return {
            "unit": "month",
            "omitted": 0,
            "period": [],
            **rates(np.empty(0, dtype=int), np.empty(0, dtype=int), 0),
        }
    shown = present.copy()
    shown[present] = _shown(dates[present])
    first, last = dates[shown].min(), dates[shown].max()

    def places(unit: str) -> tuple[pd.Period, int]:
        start, end = pd.Period(first, _UNITS[unit]), pd.Period(last, _UNITS[unit])
        return start, int(end.ordinal - start.ordinal) + 1

    months = places("month")[1]
    order = (
        ("day", "week", "month", "quarter", "year") if months < 3 else ("month", "quarter", "year")
    )
    unit = next(u for u in order if places(u)[1] <= MAX_PERIODS)
    start, count = places(unit)
    groups = np.full(len(dates), -1, dtype="int64")
    groups[shown] = pd.PeriodIndex(dates[shown], freq=_UNITS[unit]).asi8 - start.ordinal
    labels = [(start + i).start_time.strftime("%Y-%m-%d") for i in range(count)]
    return {
        "unit": unit,
        "omitted": int((present & ~shown).sum()),
        "period": labels,
        **rates(groups, y, count),
    }


def _shown(dates: pd.Series) -> np.ndarray:
    """Which dates the periods are of: no lone placeholder such as 9999-12-31 (as `fivefold.profiling.format_checks`), and of a longer span
    the 60 years that hold the most rows, the latest such.
    """
    days = dates.to_numpy().astype("datetime64[D]").astype("int64")
    codes = np.array(DATE_CODES, dtype="datetime64[D]").astype("int64")
    others = days[~np.isin(days, codes)]
    lone = [code for code in codes if len(others) and np.abs(others - code).min() >= DAYS_APART]
    shown = ~np.isin(days, lone)
    years = dates.dt.year.to_numpy()
    ordered = np.sort(years[shown])
    rows = np.searchsorted(ordered, ordered + MAX_PERIODS - 1, side="right") - np.searchsorted(
        ordered, ordered
    )
    start = ordered[rows == rows.max()].max()
    return shown & (years >= start) & (years < start + MAX_PERIODS)


def equal_starts(ordered: np.ndarray, groups: int) -> np.ndarray:
    """Where groups of about equal size start in sorted values; a value that is several quantiles is a group alone.

    >>> equal_starts(np.array([0, 0, 0, 0, 1, 2, 3, 4]), 4).tolist()
    [0, 1, 2]
    """
    cuts, times = np.unique(
        np.quantile(ordered, np.linspace(0, 1, groups + 1), method="inverted_cdf"),
        return_counts=True,
    )
    after = np.searchsorted(ordered, cuts[times > 1], side="right")
    return np.unique(
        np.concatenate([cuts[:-1], cuts[times > 1], ordered[after[after < len(ordered)]]])
    )


def shorten(text: str, most: int = 40) -> str:
    """A text of at most `most` characters in one line; what is cut off leaves its mark, so that two stay different."""
    line = " ".join(text.split())
    if len(line) <= most:
        return line
    return (
        f"{line[: most - 6]}… {hashlib.md5(line.encode(), usedforsecurity=False).hexdigest()[:4]}"
    )


def number(value: float, digits: int = 6) -> float | None:
    """A plain number with so many significant digits; None for what JSON cannot say."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None


def _numeric(values: np.ndarray, column: Column, y: np.ndarray) -> dict[str, Any]:
    present = np.isfinite(values)
    ordered = np.sort(values[present])
    if not len(ordered):
        return {"distinct": 0}
    with np.errstate(over="ignore", invalid="ignore"):
        distinct = 1 + int(np.count_nonzero(np.diff(ordered)))
        centred = ordered - ordered.mean()
        sd = float(ordered.std(ddof=1)) if len(ordered) > 1 else 0.0
        second = float((centred**2).mean())
        skew = float((centred**3).mean() / second**1.5) if second > 0 else 0.0
        told = {
            "distinct": distinct,
            "quantiles": quantiles(ordered),
            "mean": number(float(ordered.mean())),
            "sd": number(sd),
            "skew": number(skew, 4),
            "zeros": number(float((ordered == 0).mean())),
            "outliers": tukey(ordered),
        }
    low, high = np.quantile(ordered, [0.005, 0.995])
    if low == high or not np.isfinite([low, high]).all():
        low, high = ordered[0], ordered[-1]
    edges = nice_edges(float(low), float(high), column.integer)
    bins = np.searchsorted(edges, values, side="right") - 1
    bins[~present | (bins < 0) | (bins >= len(edges) - 1)] = -1
    counted = rates(bins, y, len(edges) - 1)
    told["histogram"] = {
        "edges": [number(float(e), 12) for e in edges],
        "integer": column.integer,
        "below": int(np.searchsorted(ordered, edges[0], side="left")),
        "above": len(ordered) - int(np.searchsorted(ordered, edges[-1], side="left")),
        **{key: counted[key] for key in ("rows", "negative", "positive")},
    }
    return told | {"groups": _groups(values, ordered, distinct, y)}


def _groups(
    values: np.ndarray, ordered: np.ndarray, distinct: int, y: np.ndarray
) -> dict[str, Any]:
    """Positive rates by decile, or by value where there are few; `from` and `to` are the ends of each group."""
    if distinct <= FEW_VALUES:
        starts = np.unique(ordered)
        ends = starts
    else:
        starts = equal_starts(ordered, 10)
        places = np.searchsorted(ordered, starts)
        ends = ordered[np.append(places[1:], len(ordered)) - 1]
    groups = np.searchsorted(starts, values, side="right") - 1
    groups[~np.isfinite(values)] = -1
    return {
        "from": [number(float(v)) for v in starts],
        "to": [number(float(v)) for v in ends],
        **rates(groups, y, len(starts)),
    }


def _levels(values: pd.Series, column: Column, y: np.ndarray) -> dict[str, Any]:
    """The most frequent levels (ties by name) and "other", as `rates`; `other` is the number of levels in it."""
    codes, found = pd.factorize(values)
    spelt = [
        column.levels[int(v)] if column.kind == "boolean" and len(column.levels) == 2 else str(v)
        for v in found
    ]
    counts = np.bincount(codes[codes >= 0], minlength=len(found))
    order = sorted(range(len(found)), key=lambda i: (-counts[i], spelt[i]))
    top, more = order[:TOP_LEVELS], max(0, len(order) - TOP_LEVELS)
    place = np.full(len(found) + 1, -1 if not more else len(top))
    place[top] = np.arange(len(top))
    place[-1] = -1  # what factorize calls missing
    told = rates(place[codes], y, len(top) + bool(more))
    return {
        "distinct": len(found),
        "levels": {"level": [shorten(spelt[i]) for i in top], "other": more, **told},
    }


def _dates(values: pd.Series, y: np.ndarray) -> dict[str, Any]:
    present = values.dropna()
    if not len(present):
        return {"distinct": 0}
    return {
        "distinct": int(present.nunique()),
        "first": str(present.min()),
        "last": str(present.max()),
        "periods": by_period(values, y),
    }

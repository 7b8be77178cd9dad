"""Column profile: one column, alone and by target, as a small plain dict."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np
import pandas as pd

from fivefold.core.intervals import share
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
# Weeks start on Monday.
_UNITS = {"day": "D", "week": "W-SUN", "month": "M", "quarter": "Q-DEC", "year": "Y-DEC"}


def profile(values: pd.Series, column: Column, y: np.ndarray) -> dict[str, Any]:
    """Return name, kind, missing cells, distinct values of a typed column, and what its kind adds.

    numeric: quantiles, mean, sd, skew, zeros (share), outliers, histogram, groups. categorical,
    boolean: levels. date: first, last, periods. text: length. constant: value. Every group has
    `rates`.
    """
    result: dict[str, Any] = {
        "name": column.name,
        "kind": column.kind,
        "used": column.used,
        "why": column.why,
        "missing": _missing(values, y),
        "distinct": 0,
    }
    if column.kind == "numeric":
        return result | _profile_numbers(values.to_numpy(dtype="float64"), column, y)
    if column.kind in ("categorical", "boolean"):
        return result | _profile_levels(values, column, y)
    present = values.dropna()
    result["distinct"] = int(present.nunique())
    if not len(present):
        return result
    if column.kind == "date":
        result["first"], result["last"] = str(present.min()), str(present.max())
        result["periods"] = by_period(values, y)
    if column.kind == "text":
        lengths = present.str.len().to_numpy(dtype="float64")
        result["length"] = quantiles(lengths)
        result["words"] = number(float(present.iloc[:2000].str.count(r"\S+").mean()))
    if column.kind == "constant":
        result["value"] = shorten(str(present.iloc[0]))
    return result


def rates(groups: np.ndarray, y: np.ndarray, count: int) -> dict[str, list[Any]]:
    """Return {rows, negative, positive, rate, low, high}, a list of `count` each.

    Parameters
    ----------
    groups
        0 to count-1 for each row; -1 is in none.
    y
        Labels 1, 0, or -1 for a missing one, which counts in rows alone.

    Returns
    -------
    `rate` is the share of positives among labelled rows, `low` and `high` its Wilson 95% interval;
    None without any labelled row.
    """
    inside = groups >= 0
    table = np.bincount(groups[inside] * 3 + y[inside] + 1, minlength=3 * count).reshape(count, 3)
    negative, positive = table[:, 1].tolist(), table[:, 2].tolist()
    counts = zip(negative, positive, strict=True)
    shares = [share(hits, misses + hits) for misses, hits in counts]
    return {
        "rows": table.sum(axis=1).tolist(),
        "negative": negative,
        "positive": positive,
        "rate": [number(estimate.value, 4) for estimate in shares],
        "low": [number(estimate.low, 4) for estimate in shares],
        "high": [number(estimate.high, 4) for estimate in shares],
    }


def group_ids(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Return the group of each value, -1 for none, where groups begin at the sorted `starts`."""
    groups = np.searchsorted(starts, values, side="right") - 1
    groups[~np.isfinite(values)] = -1
    return groups


def quantiles(numbers: np.ndarray) -> dict[str, float | None]:
    """Return `QUANTILES` of some numbers (linear interpolation)."""
    values = np.quantile(numbers, list(QUANTILES.values()))
    return {name: number(value) for name, value in zip(QUANTILES, values, strict=True)}


def tukey(ordered: np.ndarray) -> dict[str, Any]:
    """Return {low_fence, high_fence, low, high, share} of sorted values.

    `low` and `high` count the values beyond 1.5 IQR from the quartiles: 0.7% of a normal column.
    Source: Tukey (1977), Exploratory Data Analysis.
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
    """Return at most 31 edges around low..high, multiples of 1, 2 or 5 times a power of ten.

    Two samples of one column thus share their edges, or one's edges are among the other's. Whole
    numbers get edges half a unit lower, so that each bin holds the same whole numbers. Bins are
    closed on the left.

    >>> nice_edges(0.3, 4.7).round(1).tolist()[:3]
    [0.2, 0.4, 0.6]
    """
    span = high / 2 - low / 2  # halves: the span of the largest floats would overflow
    if not math.isfinite(span) or span <= 1e-12 * max(abs(low), abs(high), 1e-300):
        span = 0.0
    power = math.floor(math.log10(span / MAX_BINS)) if span > 0 else 0
    shift = -0.5 if integer else 0.0
    for step in (m * 10.0**p for p in range(power, power + 4) for m in (1.0, 2.0, 5.0)):
        step = max(step, 1.0) if integer else step
        first, last = math.floor((low - shift) / step), math.floor((high - shift) / step) + 1
        if last - first <= MAX_BINS:
            return np.array([float(f"{k * step:.12g}") for k in range(first, last + 1)]) + shift
    return np.array([low, np.nextafter(high, math.inf)])


def by_period(dates: pd.Series, y: np.ndarray) -> dict[str, Any]:
    """Return {unit, omitted, period, ...`rates`}: rows by day, week, month, quarter or year.

    The finest unit that gives at most 60 periods; days and weeks only below three months. `period`
    is the first day (ISO); empty periods are listed. `omitted` counts the dates that are left out
    (`_is_shown`).
    """
    present = dates.notna().to_numpy()
    groups = np.full(len(dates), -1, dtype="int64")
    if not present.any():
        return {"unit": "month", "omitted": 0, "period": [], **rates(groups, y, 0)}
    shown = present.copy()
    shown[present] = _is_shown(dates[present])
    first, last = dates[shown].min(), dates[shown].max()
    units = list(_UNITS)
    if len(_periods(first, last, "month")) >= 3:
        units = units[2:]
    unit = next(unit for unit in units if len(_periods(first, last, unit)) <= MAX_PERIODS)
    periods = _periods(first, last, unit)
    groups[shown] = pd.PeriodIndex(dates[shown], freq=_UNITS[unit]).asi8 - periods[0].ordinal
    return {
        "unit": unit,
        "omitted": int((present & ~shown).sum()),
        "period": [f"{period.start_time:%Y-%m-%d}" for period in periods],
        **rates(groups, y, len(periods)),
    }


def _periods(first: pd.Timestamp, last: pd.Timestamp, unit: str) -> pd.PeriodIndex:
    return pd.period_range(first, last, freq=_UNITS[unit])


def _is_shown(dates: pd.Series) -> np.ndarray:
    """Return which dates the periods are of, shape (rows,).

    Left out are `lone_placeholders`, and of a span above 60 years all but the 60 years that hold
    the most rows, the latest such.
    """
    days = dates.to_numpy().astype("datetime64[D]")
    shown: np.ndarray = ~np.isin(days, lone_placeholders(days))
    years = dates.dt.year.to_numpy()
    ordered = np.sort(years[shown])
    ends = np.searchsorted(ordered, ordered + MAX_PERIODS - 1, side="right")
    rows = ends - np.searchsorted(ordered, ordered)
    start = ordered[rows == rows.max()].max()
    shown &= (years >= start) & (years < start + MAX_PERIODS)
    return shown


def lone_placeholders(days: np.ndarray) -> np.ndarray:
    """Return the dates such as 9999-12-31 that are a year or more from all others of `days`."""
    codes = np.array(DATE_CODES, dtype="datetime64[D]")
    others = days[~np.isin(days, codes)]
    if not len(others):
        return codes[:0]
    apart = np.timedelta64(DAYS_APART, "D")
    is_lone = [np.abs(others - code).min() >= apart for code in codes]
    return codes[is_lone]


def equal_starts(ordered: np.ndarray, groups: int) -> np.ndarray:
    """Return where groups of about equal size start in sorted values.

    A value that is several quantiles is a group alone.

    >>> equal_starts(np.array([0, 0, 0, 0, 1, 2, 3, 4]), 4).tolist()
    [0, 1, 2]
    """
    points = np.quantile(ordered, np.linspace(0, 1, groups + 1), method="inverted_cdf")
    cuts, times = np.unique(points, return_counts=True)
    heavy = cuts[times > 1]
    after = np.searchsorted(ordered, heavy, side="right")
    next_values = ordered[after[after < len(ordered)]]
    return np.unique(np.concatenate([cuts[:-1], heavy, next_values]))


def shorten(text: str, most: int = 40) -> str:
    """Return a text of at most `most` characters in one line.

    What is cut off leaves its mark, so that two texts stay different.
    """
    line = " ".join(text.split())
    if len(line) <= most:
        return line
    mark = hashlib.md5(line.encode(), usedforsecurity=False).hexdigest()[:4]
    return f"{line[: most - 6]}… {mark}"


def number(value: float | None, digits: int = 6) -> float | None:
    """Return a plain number, rounded to significant digits; None if JSON cannot write it."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{digits}g}")


def _missing(values: pd.Series, y: np.ndarray) -> dict[str, Any]:
    """Return the missing cells: rows, share, and the positive rate among them."""
    missing = values.isna().to_numpy()
    among = rates(np.where(missing, 0, -1), y, 1)
    return {
        "rows": among["rows"][0],
        "share": number(missing.mean()) if len(values) else None,
        "positive_rate": among["rate"][0],
        "positive_low": among["low"][0],
        "positive_high": among["high"][0],
    }


def _profile_numbers(values: np.ndarray, column: Column, y: np.ndarray) -> dict[str, Any]:
    ordered = np.sort(values[np.isfinite(values)])
    if not len(ordered):
        return {}
    with np.errstate(over="ignore", invalid="ignore"):
        distinct = 1 + int(np.count_nonzero(np.diff(ordered)))
        centred = ordered - ordered.mean()
        sd = float(ordered.std(ddof=1)) if len(ordered) > 1 else 0.0
        second = float((centred**2).mean())
        skew = float((centred**3).mean() / second**1.5) if second > 0 else 0.0
        return {
            "distinct": distinct,
            "quantiles": quantiles(ordered),
            "mean": number(float(ordered.mean())),
            "sd": number(sd),
            "skew": number(skew, 4),
            "zeros": number(float((ordered == 0).mean())),
            "outliers": tukey(ordered),
            "histogram": _histogram(values, ordered, column.integer, y),
            "groups": _groups(values, ordered, distinct, y),
        }


def _histogram(
    values: np.ndarray, ordered: np.ndarray, integer: bool, y: np.ndarray
) -> dict[str, Any]:
    """Return the counts between `nice_edges` of the middle 99% of the values, and beyond them."""
    low, high = np.quantile(ordered, [0.005, 0.995])
    if low == high or not np.isfinite([low, high]).all():
        low, high = ordered[0], ordered[-1]
    edges = nice_edges(float(low), float(high), integer)
    bins = group_ids(values, edges)
    bins[bins == len(edges) - 1] = -1
    counts = rates(bins, y, len(edges) - 1)
    return {
        "edges": [number(float(edge), 12) for edge in edges],
        "integer": integer,
        "below": int(np.searchsorted(ordered, edges[0], side="left")),
        "above": len(ordered) - int(np.searchsorted(ordered, edges[-1], side="left")),
        **{key: counts[key] for key in ("rows", "negative", "positive")},
    }


def _groups(
    values: np.ndarray, ordered: np.ndarray, distinct: int, y: np.ndarray
) -> dict[str, Any]:
    """Return positive rates by decile, or by value where there are few, with their ends."""
    if distinct <= FEW_VALUES:
        starts = ends = np.unique(ordered)
    else:
        starts = equal_starts(ordered, 10)
        positions = np.searchsorted(ordered, starts)
        ends = ordered[np.append(positions[1:], len(ordered)) - 1]
    return {
        "from": [number(float(value)) for value in starts],
        "to": [number(float(value)) for value in ends],
        **rates(group_ids(values, starts), y, len(starts)),
    }


def _profile_levels(values: pd.Series, column: Column, y: np.ndarray) -> dict[str, Any]:
    """Return the most frequent levels (ties by name), the others as one more group.

    `other` is the number of levels in that group.
    """
    codes, levels = pd.factorize(values)
    if column.kind == "boolean" and len(column.levels) == 2:
        spelling = [column.levels[int(level)] for level in levels]
    else:
        spelling = [str(level) for level in levels]
    counts = np.bincount(codes[codes >= 0], minlength=len(levels))
    order = sorted(range(len(levels)), key=lambda i: (-counts[i], spelling[i]))
    top, others = order[:TOP_LEVELS], max(0, len(order) - TOP_LEVELS)
    groups = np.full(len(levels) + 1, len(top) if others else -1)
    groups[top] = np.arange(len(top))
    groups[-1] = -1  # what factorize calls missing
    return {
        "distinct": len(levels),
        "levels": {
            "level": [shorten(spelling[i]) for i in top],
            "other": others,
            **rates(groups[codes], y, len(top) + bool(others)),
        },
    }

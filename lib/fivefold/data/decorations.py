"""Decorations: what stands around the numbers that people write: units, bounds, K and M, colons."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

Rule = dict[str, str]

# Capitals, and "k", "bn", "mn"; a small "m" is metres or minutes.
MULTIPLIERS = {"K": 1e3, "k": 1e3, "M": 1e6, "mn": 1e6, "Mn": 1e6, "B": 1e9, "bn": 1e9, "Bn": 1e9}
# Units whose mixture in one column is asked about. "12A" and "12B" are codes.
_UNITS = """
    kg g mg lb oz t km m cm mm mi mile ft in inch yd l ml cl gal s sec second min minute h hr hour
    day week wk month mo year yr °c °f kw w hp bhp cc mph km/h kmh kb mb gb tb kpl km/kg kmpl
"""
_MINUS = str.maketrans("\u2212\ufe63\uff0d\u2010\u2011", "-----")
_TAIL = r"(?:[^\W\d_]|[°µ/²³·.])(?:[^\W\d_]|[°µ/²³·.]| (?=\S)){0,15}[23]?"
_DECORATED = (
    r"^(?P<bound>(?:[<>≤≥~≈]=?)?)\s*"
    r"(?P<core>[-+]?[.\d](?:[\d.,'\u00a0\u202f ]*\d)?(?:[eE][-+]?\d+)?)"
    rf"\s*(?P<more>\+?)\s*(?P<tail>(?:{_TAIL})?)$"
)
_DURATION = (
    r"^(?:(?P<days>-?\d+) days?,? \+?)?(?P<sign>[-+]?)(?P<hours>\d{1,4}):(?P<minutes>[0-5]\d)"
    r"(?::(?P<seconds>[0-5]\d(?:\.\d+)?))?\s*(?P<half>(?:[AaPp]\.?[Mm]\.?)?)$"
)


def bare(values: pd.Series) -> pd.Series:
    """Return texts with plain minus signs, and without what keeps Excel from changing a cell.

    >>> bare(pd.Series(["\u221212.5", "'12.5", '="12.5"'])).tolist()
    ['-12.5', '12.5', '12.5']
    """
    values = values.str.translate(_MINUS)
    values = values.str.replace(r'^="([^"]*)"$', r"\1", regex=True)
    return values.str.replace(r"^'([-+.0-9])", r"\1", regex=True).str.replace(
        r"^–([.0-9])", r"-\1", regex=True
    )


def durations(values: pd.Series) -> pd.Series:
    """Return times such as 1:30:00, 14:30 (hours first), 2:30 PM or 0 days 06:01:22 in seconds.

    A plain number is seconds already.

    >>> durations(pd.Series(["1:30:00", "2:30 PM", "1 days 00:00:01", "7", "x"])).tolist()
    [5400.0, 52200.0, 86401.0, 7.0, nan]
    """
    parts = values.str.extract(_DURATION)
    days, hours, minutes, seconds = (
        pd.to_numeric(parts[name]).astype("float64")
        for name in ("days", "hours", "minutes", "seconds")
    )
    half = parts["half"].str.lower().str.slice(0, 1)
    hours = hours.where(half.isna() | (half == ""), hours % 12 + 12.0 * (half == "p"))
    clock = hours * 3600 + minutes * 60 + seconds.fillna(0)
    whole = days.fillna(0) * 86400 + clock.where(parts["sign"] != "-", -clock)
    return whole.fillna(pd.to_numeric(values, errors="coerce")).astype("float64")


def without_decorations(values: pd.Series, rule: Mapping[str, str]) -> tuple[pd.Series, pd.Series]:
    """Return (the numbers as texts, what to multiply each with) under a rule.

    Missing where a text has another decoration than the rule knows.
    """
    parts = values.str.extract(_DECORATED)
    tails = parts["tail"].fillna("").map(unit_of)
    fits = parts["core"].notna()
    if "bounds" not in rule:
        fits &= (parts["bound"] == "") & (parts["more"] == "")
    factors = pd.Series(1.0, index=values.index)
    if "multipliers" in rule:
        factors = tails.map({"": 1.0, **MULTIPLIERS})
        fits &= factors.notna()
    else:
        fits &= tails.isin(["", rule.get("unit", "")])
    return parts["core"].where(fits), factors


def decorations_of(counts: pd.Series) -> Rule:
    """Return the decorations of numbers given as texts with their counts; {} without any.

    The most frequent unit is the unit: cells in others do not read.
    """
    texts = pd.Series(counts.index, dtype="str")
    if texts.str.contains(":", regex=False).any():
        return {"form": "duration"}
    parts = texts.str.extract(_DECORATED)
    rule: Rule = {}
    if ((parts["bound"].fillna("") + parts["more"].fillna("")) != "").any():
        rule["bounds"] = "left out"
    units = _units(parts["tail"], counts)
    if units and set(units) <= set(MULTIPLIERS):
        rule["multipliers"] = "K, M, B"
    elif units:
        rule["unit"] = max(units, key=lambda unit: units[unit])
    return rule


def mixed_units(counts: pd.Series) -> dict[str, int]:
    """Return the cells in each unit of measure, where texts are numbers in more than one of them.

    >>> mixed_units(pd.Series({"12 kg": 3, "20 lbs": 2}))
    {'kg': 3, 'lb': 2}
    """
    parts = pd.Series(counts.index, dtype="str").str.extract(_DECORATED)
    if counts.to_numpy()[parts["core"].notna()].sum() < 0.9 * counts.sum():
        return {}
    units = _units(parts["tail"], counts)
    known = {unit: cells for unit, cells in units.items() if unit.lower() in _UNITS.split()}
    is_clear = len(known) > 1 and len(known) == len(units) and max(map(len, known)) > 1
    return known if is_clear else {}


def unit_of(tail: str) -> str:
    """Return a unit in one spelling: "Years" as "year"; "MW" and "mW" stay two."""
    unit = tail.strip().rstrip(".")
    if len(unit) > 2 or unit[:1] not in "mMpPkKbB" or unit.lower() in ("kg", "km"):
        unit = unit.lower()
    return unit[:-1] if len(unit) > 2 and unit.endswith("s") else unit


def describe(rule: Mapping[str, str]) -> list[str]:
    """Say in words how a rule reads decorated numbers."""
    words = []
    if "unit" in rule:
        words.append(f"unit {rule['unit']!r}")
    if "multipliers" in rule:
        words.append("K, M and B as thousands, millions and billions")
    if "bounds" in rule:
        words.append("bounds such as '>' left out")
    if rule.get("form") == "duration":
        words.append("times in seconds")
    return words


def _units(tails: pd.Series, counts: pd.Series) -> dict[str, int]:
    named = tails.fillna("").map(unit_of)
    cells = pd.Series(np.asarray(counts), index=named).groupby(level=0, sort=False).sum()
    return {str(unit): int(rows) for unit, rows in cells.items() if unit}

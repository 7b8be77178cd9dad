"""Drift: how far the rows of a window are from the rows that the model was chosen on, column by column.

A column has drifted where chance does not explain the difference (q < `ALPHA`) and the difference is not small
(PSI >= `PSI_SMALL`): with many rows every difference is significant, with few rows every PSI is large. False alarms:
while nothing has changed, at most `ALPHA` of windows show a drifted column, and at most `ALPHA` a drifted score.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import chi2_contingency, false_discovery_control, fisher_exact

from fivefold.core.findings import NOT_APPLICABLE, PASSED, WARNING, Finding
from fivefold.core.two_sample import ks_test, psi, total_variation
from fivefold.profiling.association import as_numbers

ALPHA = 0.01
PSI_SMALL, PSI_LARGE = 0.1, 0.25  # the usual marks: Siddiqi (2006), Credit Risk Scorecards
MIN_ROWS = 200  # of a window and of the reference; below, chance alone brings the PSI of ten bins to 0.1 (see `psi`)
KINDS = ("numeric", "categorical", "boolean", "date")
MOST_LEVELS, RARE_SHARE = (
    20,
    0.01,
)  # levels with bins of their own; PSI is blind to moves among the rest
FEW = 5  # expected cases of a cell below which chi-square is no approximation (Cochran 1954, Biometrics 10, 417-451)
SCORE_BINS = 20
MISSING, UNSEEN, RARE = "(missing)", "(unseen)", "(rare)"
Bins = tuple[
    list[str], np.ndarray, np.ndarray
]  # labels, cases of the reference, cases of the window
Test = tuple[
    str, float | None, float
]  # name, statistic, p value; p is 1 where there is nothing to tell apart


def drift_table(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    kinds: Mapping[str, str],
    importance: Mapping[str, float] | None = None,
    asked: float = 1.0,
) -> list[dict[str, Any]]:
    """One line per column that both typed tables have and that is of one of `KINDS`; JSON-ready.

    Keys: column, kind, rows (present in `current`); test, statistic, p_test (present values: KS of numbers and dates,
    chi-square of levels, Fisher's exact test where too few cases leave no two cells); missing_reference and
    missing_current (shares), p_missing (Fisher's exact test); p_value, the column's: the smaller of the two times the
    number of tests that could be made (Bonferroni); q_value over the columns (Benjamini & Hochberg 1995, JRSS B 57,
    289-300; while nothing drifts its false discovery rate is the chance of any alarm, for independent or positively
    dependent columns: Benjamini & Yekutieli 2001); psi over `bins` [{label, reference, current}] (shares; deciles of
    the reference or levels, and missing); distance, 0 to 1: of numbers the KS distance or the difference of missing
    shares, whichever is larger, of levels the total variation; weight, the column's share of the positive
    `importance`; stake, weight x distance, which ranks columns and forecasts no loss; drifted; judged.
    `asked`: share of the model's columns of which the importance is known. Weights are multiplied by it: as these
    columns matter most, none is then said to matter more than it does.
    Below `MIN_ROWS` rows judged is False and p, q are None. Without rows on a side psi, distance and shares are None.
    """
    weights = _weights(importance, asked)
    lines = [
        _line(name, kind, reference[name], current[name], weights)
        for name, kind in kinds.items()
        if kind in KINDS and name in reference.columns and name in current.columns
    ]
    judged = [line for line in lines if line["judged"]]
    q_values = false_discovery_control([line["p_value"] for line in judged]) if judged else []
    for line, q in zip(judged, q_values, strict=True):
        line |= {"q_value": float(q), "drifted": bool(q < ALPHA and line["psi"] >= PSI_SMALL)}
    return lines


def score_drift(reference: np.ndarray, current: np.ndarray) -> dict[str, Any]:
    """The same of a model's scores; shapes (rows,), ValueError unless all are from 0 to 1.

    Keys: rows, test, statistic, p_value, psi, distance, drifted, judged, bins. PSI is over deciles of the reference,
    because scores of a rare class fill few of the `SCORE_BINS` equal bins of 0 to 1 that are drawn.
    """
    sides = [np.asarray(scores, dtype="float64") for scores in (reference, current)]
    if not all(((scores >= 0) & (scores <= 1)).all() for scores in sides):
        raise ValueError("expected scores from 0 to 1, found others or missing ones")
    line = _line("score", "numeric", pd.Series(sides[0]), pd.Series(sides[1]), None)
    labels = [
        f"{low:.2f} to {high:.2f}" for low, high in pairwise(np.linspace(0, 1, SCORE_BINS + 1))
    ]
    old, new = (np.histogram(scores, SCORE_BINS, (0, 1))[0] for scores in sides)
    drifted = bool(line["judged"] and line["p_value"] < ALPHA and line["psi"] >= PSI_SMALL)
    kept = {
        key: line[key]
        for key in ("rows", "test", "statistic", "p_value", "psi", "distance", "judged")
    }
    return {**kept, "drifted": drifted, "bins": _shares((labels, old, new))}


def drift_findings(table: list[dict[str, Any]], score: dict[str, Any] | None) -> list[Finding]:
    """`input-drift` (a warning per drifted column, the highest stake first) and `score-drift` of the two results."""
    judged = [line for line in table if line["judged"]]
    drifted = sorted(
        (line for line in judged if line["drifted"]), key=lambda line: -(line["stake"] or 0.0)
    )
    usual, few = (
        "spread as when the model was chosen",
        f"at least {MIN_ROWS} rows now and in the reference",
    )
    found = [
        Finding(
            code="input-drift",
            severity=WARNING,
            subject=line["column"],
            found=_told(line),
            expected=usual,
            action="look for a changed source, unit, code or join of this column; if the change is real, retrain on "
            "recent rows",
        )
        for line in drifted
    ]
    if not judged:
        what = "too few rows" if table else "no column that can be compared"
        found.append(
            Finding(
                code="input-drift",
                severity=NOT_APPLICABLE,
                subject="table",
                found=what,
                expected=few,
                action="wait for more rows",
            )
        )
    elif not drifted:
        found.append(
            Finding(
                code="input-drift",
                severity=PASSED,
                subject="table",
                found=f"none of {len(judged)} columns has drifted",
                expected=usual,
            )
        )
    if score is None or not score["judged"]:
        what = "too few scores" if score else "no scores"
        return [
            *found,
            Finding(
                code="score-drift",
                severity=NOT_APPLICABLE,
                subject="score",
                found=what,
                expected=few,
                action="wait for more rows",
            ),
        ]
    told = (
        f"distance {score['distance']:.2f} of 1, PSI {score['psi']:.2f}, p {score['p_value']:.1g}"
    )
    if not score["drifted"]:
        return [
            *found,
            Finding(
                code="score-drift", severity=PASSED, subject="score", found=told, expected=usual
            ),
        ]
    return [
        *found,
        Finding(
            code="score-drift",
            severity=WARNING,
            subject="score",
            found=told,
            expected=usual,
            action="look at the columns that drifted; if the change is real, compare with labels and retrain",
        ),
    ]


def _line(
    name: str, kind: str, reference: pd.Series, current: pd.Series, weights: dict[str, float] | None
) -> dict[str, Any]:
    rows, ordered = (len(reference), len(current)), kind in ("numeric", "date")
    judged = min(rows) >= MIN_ROWS
    compare = _compare_numbers if ordered else _compare_levels
    (test, statistic, p_test), testable, bins = compare(reference, current, kind)
    missing = np.array([bins[1][-1], bins[2][-1]])
    p_missing = float(fisher_exact([missing, rows - missing]).pvalue)
    # Whether a test can be made at all depends on both tables together, not on which row is whose: p stays valid.
    tests = testable + bool(0 < missing.sum() < sum(rows))
    p_value = min(1.0, max(1, tests) * min(p_test, p_missing))
    index, distance, gone = None, None, [None, None]
    if min(rows):
        index, gone = psi(*bins[1:]), (missing / rows).tolist()
        moved = total_variation(bins[1], bins[2], rows)
        distance = min(
            1.0, float(max(statistic or 0.0, abs(gone[1] - gone[0])) if ordered else moved)
        )
    weight = None if weights is None else weights.get(name, 0.0)
    return {
        "column": name,
        "kind": kind,
        "rows": int(rows[1] - missing[1]),
        "test": test,
        "statistic": statistic,
        "p_test": p_test if judged else None,
        "missing_reference": gone[0],
        "missing_current": gone[1],
        "p_missing": p_missing if judged else None,
        "p_value": p_value if judged else None,
        "q_value": None,
        "psi": index,
        "distance": distance,
        "weight": weight,
        "stake": None if weight is None or distance is None else weight * distance,
        "drifted": False,
        "judged": judged,
        "bins": _shares(bins),
    }


def _compare_numbers(
    reference: pd.Series, current: pd.Series, kind: str
) -> tuple[Test, bool, Bins]:
    """(test, whether two values are there to tell apart, bins). Ties only make the p of KS larger (Noether 1963)."""
    numbers = [as_numbers(side, kind) for side in (reference, current)]
    old, new = (side[np.isfinite(side)] for side in numbers)
    bins = _number_bins(old, new, kind, [len(side) for side in numbers])
    testable = bool(np.ptp(np.append(old, new)) > 0) if len(old) + len(new) else False
    if not (len(old) and len(new)):
        return ("KS", None, 1.0), testable, bins
    return ("KS", *ks_test(old, new)), testable, bins


def _compare_levels(reference: pd.Series, current: pd.Series, kind: str) -> tuple[Test, bool, Bins]:
    """As `_compare_numbers`, by `_count_test`."""
    codes, levels = pd.factorize(pd.concat([reference, current], ignore_index=True))
    sides = codes[: len(reference)], codes[len(reference) :]
    old, new = (np.bincount(side[side >= 0], minlength=len(levels)) for side in sides)
    words = [("yes" if level else "no") if kind == "boolean" else str(level) for level in levels]
    return (
        _count_test(old, new),
        len(levels) > 1,
        _level_bins(words, old, new, [len(side) for side in sides]),
    )


def _count_test(old: np.ndarray, new: np.ndarray) -> Test:
    """Whether two lists of counts come from one distribution; the rarest levels are joined to cells of `FEW` or more.

    What is joined depends on both lists together. Where that leaves one cell, the commonest level is tested against
    the others by Fisher's exact test.
    """
    both = old + new
    if not (old.sum() and new.sum()) or (both > 0).sum() < 2:
        return "chi-square", None, 1.0
    order = np.argsort(-both, kind="stable")
    expected = both[order] * (min(old.sum(), new.sum()) / both.sum())
    own = int((expected >= FEW).sum())
    if (
        own and 0 < expected[own:].sum() < FEW
    ):  # the rest is too small for a cell, and joins the last one
        own -= 1
    cells = np.array([np.append(side[order[:own]], side[order[own:]].sum()) for side in (old, new)])
    cells = cells[:, cells.any(axis=0)]
    if cells.shape[1] > 1:
        result = chi2_contingency(cells, correction=False)
        return "chi-square", float(result.statistic), float(result.pvalue)
    return (
        "Fisher",
        None,
        float(
            fisher_exact([[side[order[0]], side[order[1:]].sum()] for side in (old, new)]).pvalue
        ),
    )


def _number_bins(old: np.ndarray, new: np.ndarray, kind: str, rows: list[int]) -> Bins:
    """Between deciles of the reference, upper ends included; a value that is several deciles has a bin of its own."""
    deciles = (
        np.quantile(old, np.arange(1, 10) / 10, method="inverted_cdf") + 0.0
        if len(old)
        else np.empty(0)
    )
    values, times = np.unique(deciles, return_counts=True)
    ends = sorted(
        [(v, 1) for v in values.tolist()] + [(v, 0) for v in values[times > 1].tolist()]
    )  # 0: just below v
    cuts = [v if reached else np.nextafter(v, -np.inf) for v, reached in ends]
    word = dict(zip(values.tolist(), _spelled(values, kind), strict=True))
    labels = [("up to " if ends[0][1] else "below ") + word[ends[0][0]]] if ends else ["any value"]
    labels += [
        word[high] if low == high else f"{word[low]} to {'' if reached else 'below '}{word[high]}"
        for (low, _), (high, reached) in pairwise(ends)
    ]
    labels += ["above " + word[ends[-1][0]]] if ends else []
    counts = [
        np.bincount(np.searchsorted(cuts, side), minlength=len(labels)) for side in (old, new)
    ]
    return _with_missing(labels, counts, rows)


def _spelled(values: np.ndarray, kind: str) -> list[str]:
    """The numbers, or days since 1970 as dates, with as few digits as tell them apart."""
    if kind == "date":
        moments = np.round(values * 86400e6).astype("int64").astype("datetime64[us]")
        tries = [
            np.datetime_as_string(moments, unit=u, casting="unsafe").tolist()
            for u in ("D", "m", "s", "us")
        ]
    else:
        tries = [[f"{v:.{digits}g}" for v in values] for digits in range(4, 18)]
    return next((words for words in tries if len(set(words)) == len(words)), tries[-1])


def _level_bins(words: list[str], old: np.ndarray, new: np.ndarray, rows: list[int]) -> Bins:
    """The levels that are most frequent in the mean of both sides, the other ones, and those the reference lacks."""
    mean = (old / max(rows[0], 1) + new / max(rows[1], 1)) / 2
    known = [i for i in np.argsort(-mean, kind="stable") if old[i]]
    frequent = [i for i in known[:MOST_LEVELS] if mean[i] >= RARE_SHARE]
    rare, unseen = known[len(frequent) :], old == 0
    labels = [repr(words[i]) if words[i] in (MISSING, UNSEEN, RARE) else words[i] for i in frequent]
    counts = [
        np.append(side[frequent], [side[rare].sum(), side[unseen].sum()]) for side in (old, new)
    ]
    return _with_missing([*labels, RARE, UNSEEN], counts, rows)


def _with_missing(labels: list[str], counts: list[np.ndarray], rows: list[int]) -> Bins:
    """The bins that hold any case, and a last one for missing cells."""
    some = np.flatnonzero(counts[0] + counts[1])
    old, new = (np.append(side[some], n - side.sum()) for side, n in zip(counts, rows, strict=True))
    return [*(labels[i] for i in some), MISSING], old, new


def _shares(bins: Bins) -> list[dict[str, Any]]:
    labels, old, new = bins
    return (
        [
            {"label": label, "reference": float(p / old.sum()), "current": float(q / new.sum())}
            for label, p, q in zip(labels, old, new, strict=True)
        ]
        if old.sum() and new.sum()
        else []
    )


def _weights(importance: Mapping[str, float] | None, asked: float = 1.0) -> dict[str, float] | None:
    """Each column's share of the positive importances, times `asked`; None where there are none."""
    positive = {name: float(value) for name, value in (importance or {}).items() if value > 0}
    return {
        name: asked * value / sum(positive.values()) for name, value in positive.items()
    } or None


def _told(line: dict[str, Any]) -> str:
    size = "large" if line["psi"] >= PSI_LARGE else "moderate"
    told = f"a {size} move: distance {line['distance']:.2f} of 1, PSI {line['psi']:.2f}, q {line['q_value']:.1g}"
    if line["p_missing"] < ALPHA:
        told += (
            f"; missing in {line['missing_current']:.1%}, before in {line['missing_reference']:.1%}"
        )
    if line["stake"] is not None:
        told += f"; at stake {line['stake']:.2f} of 1, as the column has {line['weight']:.0%} of the importance"
    return told

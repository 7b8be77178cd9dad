"""Drift: how far the rows of a window are from the rows on which the model was chosen, by column.

A column has drifted if chance does not explain the difference (q < `ALPHA`) and the difference is
not small (PSI >= `PSI_SMALL`): with many rows every difference is significant, with few rows every
PSI is large. False alarms: while nothing changes, at most `ALPHA` of the windows show a drifted
column, and at most `ALPHA` a drifted score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import ClassVar

import numpy as np
import pandas as pd
from scipy.stats import chi2_contingency, false_discovery_control, fisher_exact

from fivefold.core.findings import Finding, verdict
from fivefold.core.stored import Stored, known_fields
from fivefold.core.two_sample import ks_test, psi, psi_by_chance, total_variation
from fivefold.lifecycle.performance import probabilities
from fivefold.profiling.association import as_numbers

ALPHA = 0.01
PSI_SMALL, PSI_LARGE = 0.1, 0.25  # the usual bounds: Siddiqi (2006), Credit Risk Scorecards
MIN_ROWS = 200  # on both sides; with fewer, chance alone brings the PSI of ten bins to 0.1
KINDS = ("numeric", "categorical", "boolean", "date")
MOST_LEVELS = 20  # levels with bins of their own; PSI does not see moves among the others
RARE_SHARE = 0.01
FEW = 5  # expected cases a cell of chi-square needs (Cochran 1954, Biometrics 10, 417-451)
SCORE_BINS = 20
MISSING, UNSEEN, RARE = "(missing)", "(unseen)", "(rare)"
ANSWERED = "; answered, and unchanged since then"
USUAL = "spread as when the model was chosen"


@dataclass(frozen=True)
class Bin:
    """The share of the rows in one bin, in the reference and in the window."""

    label: str
    reference: float
    current: float


@dataclass(frozen=True, kw_only=True)
class Drift(Stored):
    """How far the scores, or the values of one column, of a window are from the reference.

    Parameters
    ----------
    rows
        Rows of the window in which the value is present.
    test, statistic
        The test of the present values: KS of numbers and dates, chi-square of levels, Fisher's
        exact test if too few cases leave no two cells.
    psi
        Population stability index over deciles of the reference, or levels, and missing.
    distance
        0 to 1. Of numbers the KS distance or the difference of the missing shares, whichever is
        larger; of levels the total variation.
    answered
        Whether it drifted as it had when a person acknowledged it or a challenge answered it.
    enough_rows
        Whether both sides have `MIN_ROWS` rows. If not, p and q are None.
    bins
        Those of the PSI. Of scores `SCORE_BINS` equal bins of 0 to 1, for charts: scores of a rare
        class fill few of them.
    """

    stored_as: ClassVar[Mapping[str, str]] = {"enough_rows": "judged"}

    rows: int = 0
    test: str = ""
    statistic: float | None = None
    p_value: float | None = None
    psi: float | None = None
    distance: float | None = None
    drifted: bool = False
    answered: bool = False
    enough_rows: bool = False
    bins: list[Bin] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class DriftLine(Drift):
    """How far one column of a window is from the reference.

    Parameters
    ----------
    p_test
        The p value of the test of the present values.
    missing_reference, missing_current, p_missing
        Shares of missing cells, and the p value of Fisher's exact test between them.
    p_value
        The smaller of `p_test` and `p_missing`, times the number of tests that could be made
        (Bonferroni).
    q_value
        `p_value` adjusted over the columns (Benjamini & Hochberg 1995, JRSS B 57, 289-300). While
        nothing drifts, its false discovery rate is the chance of any alarm, for independent or
        positively dependent columns (Benjamini & Yekutieli 2001).
    weight
        The column's share of the positive importances.
    stake
        weight x distance. It ranks columns and forecasts no loss.
    """

    column: str
    kind: str
    p_test: float | None = None
    missing_reference: float | None = None
    missing_current: float | None = None
    p_missing: float | None = None
    q_value: float | None = None
    weight: float | None = None
    stake: float | None = None


def by_stake(lines: Sequence[DriftLine]) -> list[DriftLine]:
    """Return the lines, the highest stake first."""
    return sorted(lines, key=lambda line: -(line.stake or 0.0))


@dataclass(frozen=True)
class _Bins:
    """Cases of the reference and of the window in each bin, shape (2, bins)."""

    labels: list[str]
    cases: np.ndarray

    def shares(self) -> list[Bin]:
        totals = self.cases.sum(axis=1)
        if not totals.all():
            return []
        shares = (self.cases.T / totals).tolist()
        return [Bin(label, *pair) for label, pair in zip(self.labels, shares, strict=True)]


@dataclass(frozen=True)
class _Comparison:
    """A test of the present values; p is 1 if there is nothing to tell apart.

    `testable`: whether there are two different values. The last bin holds missing cells.
    """

    test: str
    statistic: float | None
    p_value: float
    testable: bool
    bins: _Bins


def drift_table(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    kinds: Mapping[str, str],
    importance: Mapping[str, float] | None = None,
    known_share: float = 1.0,
) -> list[DriftLine]:
    """Compare each column that both typed tables have and that is of one of `KINDS`.

    Parameters
    ----------
    reference, current
        Typed tables: rows on which the model was chosen, rows of the window.
    kinds
        {column: kind} of the columns to compare.
    importance
        {column: importance}; negative ones count as 0.
    known_share
        Share of the model's columns whose importance is known. Weights are multiplied by it: these
        columns matter most, so no weight is too high then.
    """
    weights = _weights(importance, known_share)
    lines = []
    for name, kind in kinds.items():
        if kind in KINDS and name in reference.columns and name in current.columns:
            lines.append(_line(name, kind, reference[name], current[name], weights))
    if min(len(reference), len(current)) < MIN_ROWS:
        return lines
    q_values = false_discovery_control([line.p_value for line in lines])
    with_q_values = []
    for line, q_value in zip(lines, q_values.tolist(), strict=True):
        drifted = _has_drifted(line, q_value)
        with_q_values.append(replace(line, q_value=q_value, drifted=drifted))
    return with_q_values


def score_drift(reference: np.ndarray, current: np.ndarray) -> Drift:
    """Compare the scores of a window with those of held-out rows.

    Parameters
    ----------
    reference, current : arrays of shape (rows,)
        Scores from 0 to 1.

    Raises
    ------
    ValueError
        If a score is missing or not from 0 to 1.
    """
    old, new = probabilities(reference), probabilities(current)
    line = _line("score", "numeric", pd.Series(old), pd.Series(new), None)
    edges = np.linspace(0, 1, SCORE_BINS + 1)
    labels = [f"{low:.2f} to {high:.2f}" for low, high in pairwise(edges)]
    cases = [np.histogram(scores, SCORE_BINS, (0, 1))[0] for scores in (old, new)]
    shared = Drift(**known_fields(Drift, vars(line)))
    drifted = _has_drifted(line, line.p_value)
    return replace(shared, drifted=drifted, bins=_Bins(labels, np.array(cases)).shares())


def is_answered(line: Drift, then: Drift | None) -> bool:
    """Return whether a drift is the one that was there `then`, when it was answered.

    It is another one if the rows differ from those of then as drifted rows differ from the
    reference: by a PSI that is not small (`PSI_SMALL`) and more than chance brings (p < `ALPHA`).
    """
    if then is None or not (line.drifted and then.drifted):
        return False
    shares = {bin_.label: [0.0, bin_.current] for bin_ in line.bins}
    for bin_ in then.bins:
        shares.setdefault(bin_.label, [0.0, 0.0])[0] = bin_.current
    before, after = np.array(list(shares.values())).T
    rows = max(then.rows, 1), max(line.rows, 1)
    if not before.any() or not after.any():
        return False
    moved = psi(before * rows[0], after * rows[1])
    return moved < max(PSI_SMALL, psi_by_chance(len(shares), *rows, ALPHA))


def drift_findings(table: Sequence[DriftLine], score: Drift | None) -> list[Finding]:
    """Return `input-drift` (a warning per drifted column, by stake) and `score-drift`.

    Drift that was answered, and has not changed since, is no warning.
    """
    compared = [line for line in table if line.enough_rows]
    drifted = by_stake([line for line in compared if line.drifted])
    findings = [_column_finding(line) for line in drifted]
    if not compared:
        found = "too few rows" if table else "no column that can be compared"
        findings.append(_too_few("input-drift", "table", found))
    elif not drifted:
        found = f"none of {len(compared)} columns has drifted"
        findings.append(verdict(False, "input-drift", "table", found=found, expected=USUAL))
    return [*findings, _score_finding(score)]


def _column_finding(line: DriftLine) -> Finding:
    size = "large" if (line.psi or 0.0) >= PSI_LARGE else "moderate"
    found = (
        f"a {size} change: distance {line.distance:.2f} of 1, PSI {line.psi:.2f}, "
        f"q {line.q_value:.1g}"
    )
    if line.p_missing is not None and line.p_missing < ALPHA:
        found += f"; missing in {line.missing_current:.1%}, before in {line.missing_reference:.1%}"
    if line.stake is not None:
        found += (
            f"; at stake {line.stake:.2f} of 1, as the column has {line.weight:.0%} of the "
            "importance"
        )
    return verdict(
        not line.answered,
        "input-drift",
        line.column,
        found=found + (ANSWERED if line.answered else ""),
        expected=USUAL,
        action="look for a changed source, unit, code or join of this column; "
        "if the change is real, retrain on recent rows",
    )


def _score_finding(score: Drift | None) -> Finding:
    if score is None or not score.enough_rows:
        found = "too few scores" if score else "no scores"
        return _too_few("score-drift", "score", found)
    found = f"distance {score.distance:.2f} of 1, PSI {score.psi:.2f}, p {score.p_value:.1g}"
    return verdict(
        score.drifted and not score.answered,
        "score-drift",
        "score",
        found=found + (ANSWERED if score.answered else ""),
        expected=USUAL,
        action="look at the columns that drifted; "
        "if the change is real, compare with labels and retrain",
    )


def _too_few(code: str, subject: str, found: str) -> Finding:
    return verdict(
        None,
        code,
        subject,
        found=found,
        expected=f"at least {MIN_ROWS} rows now and in the reference",
        action="wait for more rows",
    )


def _has_drifted(line: DriftLine, p_value: float | None) -> bool:
    significant = p_value is not None and p_value < ALPHA
    return bool(significant and (line.psi or 0.0) >= PSI_SMALL)


def _line(
    name: str,
    kind: str,
    reference: pd.Series,
    current: pd.Series,
    weights: Mapping[str, float] | None,
) -> DriftLine:
    rows = len(reference), len(current)
    enough_rows = min(rows) >= MIN_ROWS
    ordered = kind in ("numeric", "date")
    compare = _compare_numbers if ordered else _compare_levels
    found = compare(reference, current, kind)
    cases = found.bins.cases
    missing = cases[:, -1]
    p_missing = float(fisher_exact([missing, rows - missing]).pvalue)
    # Whether a test can be made at all depends on both tables together: p stays valid.
    tests = found.testable + bool(0 < missing.sum() < sum(rows))
    p_value = min(1.0, max(1, tests) * min(found.p_value, p_missing))

    index, distance, missing_shares = None, None, [None, None]
    if min(rows):
        index = psi(*cases)
        missing_shares = (missing / rows).tolist()
        distance = total_variation(cases[0], cases[1], rows)
        if ordered:
            change_of_missing = abs(missing_shares[1] - missing_shares[0])
            distance = float(max(found.statistic or 0.0, change_of_missing))
        distance = min(1.0, distance)
    weight = None if weights is None else weights.get(name, 0.0)
    return DriftLine(
        column=name,
        kind=kind,
        rows=int(rows[1] - missing[1]),
        test=found.test,
        statistic=found.statistic,
        p_test=found.p_value if enough_rows else None,
        missing_reference=missing_shares[0],
        missing_current=missing_shares[1],
        p_missing=p_missing if enough_rows else None,
        p_value=p_value if enough_rows else None,
        psi=index,
        distance=distance,
        weight=weight,
        stake=None if weight is None or distance is None else weight * distance,
        enough_rows=enough_rows,
        bins=found.bins.shares(),
    )


def _compare_numbers(reference: pd.Series, current: pd.Series, kind: str) -> _Comparison:
    numbers = [as_numbers(side, kind) for side in (reference, current)]
    old, new = (side[np.isfinite(side)] for side in numbers)
    cuts, labels = _cuts_between_deciles(old, kind)
    places = [np.searchsorted(cuts, side) for side in (old, new)]
    cases = np.array([np.bincount(side, minlength=len(labels)) for side in places])
    bins = _with_missing(labels, cases, [len(reference), len(current)])
    present = np.append(old, new)
    testable = bool(len(present) and np.ptp(present) > 0)
    if not (len(old) and len(new)):
        return _Comparison("KS", None, 1.0, testable, bins)
    return _Comparison("KS", *ks_test(old, new), testable, bins)


def _compare_levels(reference: pd.Series, current: pd.Series, kind: str) -> _Comparison:
    """Compare by bins of the most frequent levels, of the other ones, and of the unseen ones."""
    rows = [len(reference), len(current)]
    codes, levels = pd.factorize(pd.concat([reference, current], ignore_index=True))
    sides = np.split(codes, rows[:1])
    cases = np.array([np.bincount(side[side >= 0], minlength=len(levels)) for side in sides])
    mean = (cases.T / np.maximum(rows, 1)).mean(axis=1)
    known = [i for i in np.argsort(-mean, kind="stable") if cases[0, i]]
    frequent = [i for i in known[:MOST_LEVELS] if mean[i] >= RARE_SHARE]
    rare, unseen = known[len(frequent) :], cases[0] == 0
    labels = []
    for level in levels[frequent]:
        label = str(level)
        if kind == "boolean":
            label = "yes" if level else "no"
        labels.append(repr(label) if label in (MISSING, UNSEEN, RARE) else label)
    others = cases[:, rare].sum(axis=1), cases[:, unseen].sum(axis=1)
    in_bins = np.column_stack([cases[:, frequent], *others])
    bins = _with_missing([*labels, RARE, UNSEEN], in_bins, rows)
    return _Comparison(*_count_test(cases), len(levels) > 1, bins)


def _count_test(cases: np.ndarray) -> tuple[str, float | None, float]:
    """Test whether cases, shape (2, levels), come from one distribution: name, statistic and p.

    The rarest levels are joined to cells of `FEW` or more expected cases. Which ones depends on
    both lists together. If that leaves one cell, the most frequent level is tested against the
    others by Fisher's exact test.
    """
    both, totals = cases.sum(axis=0), cases.sum(axis=1)
    if not totals.all() or (both > 0).sum() < 2:
        return "chi-square", None, 1.0
    order = np.argsort(-both, kind="stable")
    ranked = cases[:, order]
    expected = both[order] * (totals.min() / totals.sum())
    own = int((expected >= FEW).sum())
    if own and 0 < expected[own:].sum() < FEW:
        own -= 1  # the rest is too small for a cell, and joins the last one
    cells = np.column_stack([ranked[:, :own], ranked[:, own:].sum(axis=1)])
    cells = cells[:, cells.any(axis=0)]
    if cells.shape[1] > 1:
        result = chi2_contingency(cells, correction=False)
        return "chi-square", float(result.statistic), float(result.pvalue)
    two_by_two = np.column_stack([ranked[:, 0], ranked[:, 1:].sum(axis=1)])
    return "Fisher", None, float(fisher_exact(two_by_two).pvalue)


def _cuts_between_deciles(old: np.ndarray, kind: str) -> tuple[list[float], list[str]]:
    """Return the upper ends, which are included, of all bins but the last, and the bins' labels.

    A value that is several deciles has a bin of its own.
    """
    deciles = np.empty(0)
    if len(old):
        deciles = np.quantile(old, np.arange(1, 10) / 10, method="inverted_cdf") + 0.0
    values, times = np.unique(deciles, return_counts=True)
    cuts: list[float] = []
    labels: list[str] = []
    start, last = "", "any value"
    for value, text, count in zip(values.tolist(), _spelled(values, kind), times, strict=True):
        if count > 1:
            cuts.append(np.nextafter(value, -np.inf))
            labels += [f"{start}below {text}", text]
        else:
            labels.append(f"{start or 'up to '}{text}")
        cuts.append(value)
        start, last = f"{text} to ", f"above {text}"
    return cuts, [*labels, last]


def _spelled(values: np.ndarray, kind: str) -> list[str]:
    """Write numbers, or days since 1970 as dates, with as few digits as tell them apart."""
    if kind == "date":
        moments = np.round(values * 86400e6).astype("int64").astype("datetime64[us]")
        units = ("D", "m", "s", "us")
        tries = [moments.astype(f"datetime64[{unit}]").astype("str").tolist() for unit in units]
    else:
        tries = [[f"{v:.{digits}g}" for v in values] for digits in range(4, 18)]
    return next((texts for texts in tries if len(set(texts)) == len(texts)), tries[-1])


def _with_missing(labels: list[str], cases: np.ndarray, rows: list[int]) -> _Bins:
    """Keep the bins that hold any case, and add a last one for missing cells."""
    filled = np.flatnonzero(cases.any(axis=0))
    missing = rows - cases.sum(axis=1)
    names = [*(labels[i] for i in filled), MISSING]
    return _Bins(names, np.column_stack([cases[:, filled], missing]))


def _weights(importance: Mapping[str, float] | None, known_share: float) -> dict[str, float] | None:
    """Return each column's share of the positive importances; None if there are none."""
    positive = {name: float(value) for name, value in (importance or {}).items() if value > 0}
    total = sum(positive.values())
    return {name: known_share * value / total for name, value in positive.items()} or None

"""Label sample: whether labelled cases may stand for all cases, as they are or with weights.

Labels are rarely a random sample that is complete. Each case that has not yet had time for its
event is left out (`Maturity`), so is each that was acted upon: its outcome is not the one that was
predicted (Lenert, Matheny & Walsh 2019, JAMIA 26, 1645-1650). What is left is compared with the
cases without a label, by score and inputs. A sample that differs is weighted by the stabilised
inverse probability of being labelled (Robins, Hernan & Brumback 2000, Epidemiology 11, 550-560;
Cole & Hernan 2008, Am J Epidemiol 168, 656-664), if every kind of case has a chance of a label. Its
effective size is Kish's (1965). Labels that depend on the outcome itself cannot be weighted: they
show if positives are known earlier or later than negatives, and then nothing is judged.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy.special import logit, ndtr

from fivefold.core.stored import Stored
from fivefold.core.text import listed
from fivefold.core.two_sample import ks_test

COMPLETE, RANDOM, WEIGHTED, UNJUDGED = "complete", "random", "weighted", "cannot be judged"
ALPHA = 0.01  # of the test of delays, and of the comparison of labelled and other cases
NEGLIGIBLE = 0.05  # cases without a label, as a share of the expected rarer class
EARLIER = 0.1  # distance from 1/2 of the chance that a positive is known before a negative
FEW = 10  # labels of each class by which delays are compared
LATE_SHARE = 0.05  # labels later than the horizon from which it is no horizon
HOLE = 1e-3  # chance of a kind of case without a label by which it is said to get none
MOST_WEIGHT = 20.0  # a case with a higher weight has no chance of a label
MOST_UNSEEN = 0.02  # share of such cases from which nothing is judged
GROUPS = 10  # of scores
MOST_INPUTS, MOST_LEVELS = 30, 10  # columns that are compared, and levels of each
MOST_FITTED = 20_000  # cases by which the chance of a label is estimated


@dataclass(frozen=True)
class Maturity:
    """When a label is final.

    horizon_days: days until a case without an event counts as negative; None: not stated.
    only_events: no negative is ever reported, so that silence past the horizon is a negative.
    controls: only cases that were left alone on purpose are judged.
    """

    horizon_days: float | None = None
    only_events: bool = False
    controls: bool = False


@dataclass(frozen=True, kw_only=True)
class LabelSample(Stored):
    """Whether the labels of a window may be judged on, and why.

    Parameters
    ----------
    verdict
        COMPLETE, RANDOM (no difference found), WEIGHTED or UNJUDGED.
    cases
        Cases that are old enough, of a control share those that were left alone.
    labelled
        Those of them with a label that counts.
    acted, young
        Labelled cases left out because somebody acted on them; cases younger than the horizon.
    effective
        Effective sample size of the labelled cases.
    differ
        "score" and the inputs by which labelled cases differ from the others.
    """

    verdict: str
    why: str
    cases: int = 0
    labelled: int = 0
    acted: int = 0
    young: int = 0
    effective: float | None = None
    differ: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """Return the verdict in one line."""
        if not self.judged:
            return f"cannot be judged: {self.why}"
        size = f"{self.labelled:,} of {self.cases:,} cases"
        if self.verdict == WEIGHTED:
            size += f", as good as {self.effective or 0.0:,.0f}"
        return f"judged on {size}: {self.why}"

    @property
    def judged(self) -> bool:
        """Whether performance may be judged on these labels."""
        return self.verdict != UNJUDGED


@dataclass(frozen=True)
class Chosen:
    """The labelled cases that count: a mask of all cases, their labels, and weights if any."""

    sample: LabelSample
    rows: np.ndarray
    y: np.ndarray
    weights: np.ndarray | None = None


def choose(
    cases: pd.DataFrame,
    inputs: pd.DataFrame,
    threshold: float,
    maturity: Maturity,
    known: pd.DataFrame,
    now: datetime,
) -> Chosen:
    """Choose the labelled cases on which a model may be judged.

    Parameters
    ----------
    cases
        Predictions: at, probability, label (1, 0 or NaN), labelled_at, acted and control (bool).
    inputs
        Their inputs, in the same order; without columns, scores alone are compared.
    known
        All labelled predictions of the problem that are known now: at, label, labelled_at.
    """
    q = cases["probability"].to_numpy(dtype="float64")
    y = cases["label"].to_numpy(dtype="float64")
    counts = np.ones(len(cases), dtype=bool)
    young = 0
    if maturity.horizon_days is not None:
        mature = (cases["at"] <= now - timedelta(days=maturity.horizon_days)).to_numpy()
        counts, young = mature, int((~mature).sum())
        if maturity.only_events:
            y = np.where(mature & np.isnan(y), 0.0, y)
    if maturity.controls:
        counts = counts & cases["control"].to_numpy(dtype=bool)
    acted = cases["acted"].to_numpy(dtype=bool)
    labelled = counts & ~np.isnan(y) & ~acted
    if maturity.horizon_days is None and labelled.any():  # later cases had no time for a label
        counts = counts & (cases["at"] <= cases["at"][labelled].max()).to_numpy()

    def sample(verdict: str, why: str, weights: np.ndarray | None = None, *differ: str) -> Chosen:
        size = float(labelled.sum()) if weights is None else effective_size(weights)
        result = LabelSample(
            verdict=verdict,
            why=why,
            cases=int(counts.sum()),
            labelled=int(labelled.sum()),
            acted=int((counts & acted & ~np.isnan(y)).sum()),
            young=young,
            effective=size,
            differ=list(differ),
        )
        return Chosen(result, labelled, y[labelled], weights)

    reason = _unfinished(counts, labelled, young, maturity)
    if reason:
        return sample(UNJUDGED, reason)
    missing, expected = counts & ~labelled, float(q[counts].sum())
    if missing.sum() <= NEGLIGIBLE * min(expected, counts.sum() - expected):
        return sample(COMPLETE, "all cases that count have a label")
    reason = "" if maturity.only_events else _outcome_decides(known, maturity.horizon_days)
    reason = reason or _hole(q, q >= threshold, counts, labelled)
    if reason:
        more = ""
        if (counts & acted).any():
            more = ", without those that were acted upon; [monitoring] control_share leaves some be"
        return sample(UNJUDGED, reason + more)
    features = inputs.iloc[:, :MOST_INPUTS]
    differ = _differences(q, features, labelled, missing)
    if not differ:
        return sample(RANDOM, "labelled cases look like the others")
    weights, unseen = _weights(q, q >= threshold, features, counts, labelled)
    if unseen > MOST_UNSEEN:
        why = f"{unseen:.0%} of the cases are of a kind that hardly gets a label"
        return sample(UNJUDGED, f"{why}; labelled ones differ by {listed(differ)}", None, *differ)
    why = f"labelled cases differ from the others by {listed(differ)}"
    return sample(WEIGHTED, f"{why}; weighted by the chance of a label", weights, *differ)


def effective_size(weights: np.ndarray) -> float:
    """Return Kish's effective sample size, (sum of w)^2 / sum of w^2.

    >>> effective_size(np.array([1.0, 1.0, 2.0])).__round__(3)
    2.667
    """
    return float(weights.sum() ** 2 / (weights**2).sum()) if len(weights) else 0.0


def known_earlier(known: pd.DataFrame) -> tuple[float, float]:
    """Return (chance that a positive is known sooner than a negative, p value that it is not 1/2).

    Cases of one day are compared with each other, so that a base rate that moves is no difference:
    van Elteren's (1960) stratified rank sum test, with ties.
    """
    delay = (known["labelled_at"] - known["at"]).dt.total_seconds()
    day = known["at"].dt.normalize()
    rank = delay.groupby(day).rank()
    positive = known["label"] == 1
    rows = pd.DataFrame({"day": day, "rank": rank, "own": rank.where(positive, 0.0)})
    rows["square"] = (rank - rank.groupby(day).transform("mean")) ** 2
    rows["positive"] = positive.astype("float64")
    sums = rows.groupby("day").agg(
        n=("rank", "size"), own=("own", "sum"), square=("square", "sum"), m=("positive", "sum")
    )
    sums = sums[(sums["m"] > 0) & (sums["m"] < sums["n"])]
    n, m = sums["n"], sums["m"]
    pairs = float((m * (n - m)).sum())
    if not pairs:
        return 0.5, 1.0
    above = sums["own"] - m * (m + 1) / 2  # pairs in which the positive is known later
    excess = float(((sums["own"] - m * (n + 1) / 2) / (n + 1)).sum())
    variance = float((m * (n - m) / (n * (n - 1)) * sums["square"] / (n + 1) ** 2).sum())
    p = float(2 * ndtr(-abs(excess) / variance**0.5)) if variance > 0 else 1.0
    return 1 - float(above.sum()) / pairs, p


def _unfinished(counts: np.ndarray, labelled: np.ndarray, young: int, maturity: Maturity) -> str:
    """Say why there is nothing to judge; "" if there is."""
    if maturity.horizon_days is not None and young == len(counts):
        return f"younger than the horizon of {maturity.horizon_days:g} days"
    if maturity.controls and not counts.any():
        return "no case of the control share is old enough"
    return "" if labelled.any() else "no labels"


def _outcome_decides(known: pd.DataFrame, horizon_days: float | None) -> str:
    """Say why the outcome may decide who has a label; "" if nothing points to it."""
    if horizon_days is not None:
        late = known["labelled_at"] - known["at"] > timedelta(days=horizon_days + 1)
        if not len(known) or late.mean() <= LATE_SHARE:
            return ""
    positives = int((known["label"] == 1).sum())
    fewer, which = min((positives, "positives"), (len(known) - positives, "negatives"))
    if fewer < FEW:
        return (
            f"{fewer} {which} among {len(known):,} labels are too few to tell whether both "
            "outcomes are known equally soon; [target] horizon says when labels are final"
        )
    earlier, p = known_earlier(known)
    if p >= ALPHA or abs(earlier - 0.5) < EARLIER:
        return ""
    which, chance = ("positives", earlier) if earlier > 0.5 else ("negatives", 1 - earlier)
    wrong = "a longer " if horizon_days is not None else ""
    return (
        f"{which} are known first ({chance:.0%} of the pairs of one day), so the labels so far are "
        f"no sample; {wrong}[target] horizon says when labels are final"
    )


def _hole(q: np.ndarray, flagged: np.ndarray, counts: np.ndarray, labelled: np.ndarray) -> str:
    """Say which scores get no label; "" if all do."""
    share = labelled.sum() / counts.sum()
    groups = [("flagged cases", flagged), ("cases that are not flagged", ~flagged)]
    edges = np.unique(np.quantile(q[counts], np.linspace(0, 1, GROUPS + 1)))
    for low, high in pairwise(edges):
        last = high == edges[-1]
        within = (q >= low) & ((q <= high) if last else (q < high))
        groups.append((f"cases with a probability of {low:.2f} to {high:.2f}", within))
    for name, within in groups:
        rows = int((counts & within).sum())
        if rows and not (labelled & within).any() and (1 - share) ** rows < HOLE:
            return f"none of {rows:,} {name} has a label"
    return ""


def _differences(
    q: np.ndarray, inputs: pd.DataFrame, labelled: np.ndarray, missing: np.ndarray
) -> list[str]:
    """Return "score" and the inputs by which the two differ (Bonferroni over the inputs)."""
    differ = ["score"] if ks_test(q[labelled], q[missing])[1] < ALPHA else []
    for name in inputs.columns:
        p = _p_value(inputs[name], labelled, missing)
        if p < ALPHA / inputs.shape[1]:
            differ.append(str(name))
    return differ


def _p_value(values: pd.Series, labelled: np.ndarray, missing: np.ndarray) -> float:
    """Test whether a column is distributed alike in both; a missing cell is a value too."""
    from scipy.stats import chi2_contingency

    numbers = _numbers(values)
    blank = values.isna().to_numpy()
    levels = blank.astype("int64")
    p = 1.0
    if numbers is not None:
        old, new = numbers[labelled & ~blank], numbers[missing & ~blank]
        if len(old) and len(new):
            p = ks_test(old, new)[1]
    else:
        levels = _levels(values)
    sides = [np.bincount(levels[side], minlength=levels.max() + 1) for side in (labelled, missing)]
    cells = np.array(sides)
    cells = cells[:, cells.any(axis=0)]
    if cells.shape[1] < 2:
        return p
    by_level = float(chi2_contingency(cells, correction=False).pvalue)
    return by_level if numbers is None else min(1.0, 2 * min(p, by_level))


def _weights(
    q: np.ndarray,
    flagged: np.ndarray,
    inputs: pd.DataFrame,
    counts: np.ndarray,
    labelled: np.ndarray,
) -> tuple[np.ndarray, float]:
    """Return (stabilised weights of the labelled cases, share of cases with no chance of a label).

    The chance is estimated by a logistic regression on score and inputs.
    """
    from sklearn.linear_model import LogisticRegression

    rows = np.flatnonzero(counts)
    features = _features(q, flagged, inputs, counts)[rows]
    target = labelled[rows]
    fitted = np.arange(len(rows))
    if len(rows) > MOST_FITTED:
        fitted = np.random.default_rng(0).choice(len(rows), MOST_FITTED, replace=False)
    model = LogisticRegression(max_iter=500).fit(features[fitted], target[fitted])
    chance = model.predict_proba(features)[:, 1]
    weights = target.mean() / np.maximum(chance, 1e-12)
    return np.minimum(weights[target], MOST_WEIGHT), float((weights > MOST_WEIGHT).mean())


def _features(
    q: np.ndarray, flagged: np.ndarray, inputs: pd.DataFrame, counts: np.ndarray
) -> np.ndarray:
    """Return what the chance of a label may depend on, standardised over the cases that count."""
    scores = logit(np.clip(q, 1e-4, 1 - 1e-4))
    cuts = np.unique(np.quantile(scores[counts], np.arange(1, GROUPS) / GROUPS))
    columns = [scores, flagged, *(scores >= cut for cut in cuts)]
    for name in inputs.columns:
        numbers = _numbers(inputs[name])
        if numbers is None:
            levels = _levels(inputs[name])
            columns += [levels == level for level in range(1, levels.max() + 1)]
        else:
            blank = np.isnan(numbers)
            middle = np.median(numbers[~blank]) if (~blank).any() else 0.0
            columns += [np.where(blank, middle, numbers), blank]
    table = np.column_stack(columns).astype("float64")
    spread = table[counts].std(axis=0)
    standardised = (table - table[counts].mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    return np.asarray(np.clip(standardised[:, spread > 0], -5, 5))


def _numbers(values: pd.Series) -> np.ndarray | None:
    """Return numbers, or dates as days; None for any other column."""
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        days = (values - pd.Timestamp(0, tz=values.dt.tz)) / pd.Timedelta(days=1)
        return np.asarray(days, dtype="float64")
    if pd.api.types.is_bool_dtype(values.dtype) or not pd.api.types.is_numeric_dtype(values.dtype):
        return None
    numbers: np.ndarray = values.to_numpy(dtype="float64", na_value=np.nan)
    return numbers


def _levels(values: pd.Series) -> np.ndarray:
    """Return codes of the most frequent levels from 1; 0: any other, or missing."""
    frequent = values.value_counts().index[:MOST_LEVELS]
    codes = pd.Categorical(values, categories=frequent).codes
    return np.asarray(codes, dtype="int64") + 1

"""Challenge: whether a new model is proven better than the one that is served, on the same rows.

Neither model has learnt from these rows: the untouched holdout and, of recent labelled predictions,
those that were set aside when they came in (`fivefold.training.labelled_rows`). Each origin is a
stratum; scores are compared within it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from scipy.special import ndtri

from fivefold.core.findings import Finding, verdict, warnings
from fivefold.core.log_loss import log_losses
from fivefold.core.roc_auc import auc_interval, paired_test
from fivefold.core.stored import Stored
from fivefold.lifecycle.looks import SIDE, Look

HELD_OUT, RECENT = "held-out", "recent"  # origins of rows
MARGIN = 0.0  # the lower bound of the gain in ROC AUC must be above it
MIN_CLASS = 30  # rows of each class that a stratum needs
MIN_SEGMENT, MIN_SEGMENT_CLASS = 60, 10  # rows, and rows of each class, that a segment needs
WORSE_BEFORE = 0.05  # ROC AUC that may be lost on rows of the old table: the data may have changed
WORSE_LOSS = 0.02  # share of the champion's log-loss by which the challenger's may be worse
FLOOR = 1e-6  # of a probability in its log-loss
Z = float(ndtri(1 - SIDE))


@dataclass(frozen=True)
class Difference(Stored):
    """A difference of two models with its interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:+.4f} ({self.interval})"

    @property
    def interval(self) -> str:
        """The interval in words."""
        return f"{self.low:+.4f} to {self.high:+.4f}"


@dataclass(frozen=True)
class Gain(Difference):
    """A gain in ROC AUC whose lower bound must be above `margin`.

    `level` is that of the interval: the more looks there were, the wider it is
    (`fivefold.lifecycle.looks`).
    """

    margin: float = MARGIN
    level: float = 0.95

    @property
    def proven(self) -> bool:
        """Whether the challenger is better by more than the margin."""
        return self.low > self.margin


@dataclass(frozen=True)
class LossDifference(Difference):
    """The challenger's mean log-loss minus the champion's, which is `champion`."""

    stored_as: ClassVar[Mapping[str, str]] = {"value": "difference"}

    champion: float


@dataclass(frozen=True)
class Stratum(Stored):
    """Both models on the rows of one origin.

    `champion` and `challenger` are ROC AUCs as `fivefold.core.roc_auc.auc_interval` returns them,
    `gain` is the difference of the two.
    """

    name: str
    rows: int
    positives: int
    champion: Mapping[str, Any]
    challenger: Mapping[str, Any]
    gain: Difference
    loss: LossDifference


@dataclass(frozen=True, kw_only=True)
class Challenge(Stored):
    """The result of a challenger against the champion.

    `gain` is the mean gain in ROC AUC over the strata; None if there were too few rows. `left_out`
    are rows that one of the models may have learnt from.
    """

    promote: bool = False
    why: str = ""
    rows: int = 0
    strata: tuple[Stratum, ...] = ()
    gain: Gain | None = None
    findings: tuple[Finding, ...] = ()
    look: Look | None = None
    champion: str | None = None
    challenger: str | None = None
    left_out: int | None = None
    latency_ms: float | None = None
    smoke_seconds: float | None = None


@dataclass(frozen=True)
class _Rows:
    """Labels (0/1), calibrated probabilities of both models, and codes of the rows' strata."""

    y: np.ndarray
    champion: np.ndarray
    challenger: np.ndarray
    strata: np.ndarray

    def where(self, chosen: np.ndarray) -> _Rows:
        return _Rows(*(values[chosen] for values in vars(self).values()))

    def gain(self, z: float = Z) -> Difference:
        """Return the challenger's gain in ROC AUC by DeLong's paired test within the strata."""
        test = paired_test(self.y, self.challenger, self.champion, self.strata)
        return Difference(*_around(test["difference"], z * test["se"]))


def challenge(
    y: np.ndarray,
    champion: np.ndarray,
    challenger: np.ndarray,
    origin: np.ndarray,
    segments: pd.DataFrame,
    margin: float = MARGIN,
    look: Look | None = None,
) -> Challenge:
    """Compare two models on rows from which neither has learnt.

    The challenger is promoted if all of these hold. The lower bound of the mean gain in ROC AUC
    over the strata (DeLong's paired test, at the one-sided level of `look`) is above `margin`. On
    recent rows no ROC AUC is proven worse; on held-out rows none is proven worse by more than
    `WORSE_BEFORE`. The mean log-loss over the strata is not proven worse by more than `WORSE_LOSS`
    (paired z test on rows). In no segment is the ROC AUC proven worse (Bonferroni). With too few
    rows for the gain nobody is promoted; other checks that lack rows are named as not applicable.

    Labels that are wrong at random teach no better ranking, so they promote nobody. Labels that are
    wrong by a pattern look like data that have changed: within `WORSE_BEFORE` only a person can
    tell the two apart (`--require-approval`).

    Parameters
    ----------
    y : array of shape (rows,)
        Labels, 0 or 1.
    champion, challenger : arrays of shape (rows,)
        Calibrated probabilities of both models.
    origin : array of shape (rows,)
        `HELD_OUT` or `RECENT`.
    segments : table
        The protected columns of the same rows.
    margin : float
        ROC AUC that the lower bound of the gain must exceed.
    look : Look
        Which look at these rows it is; None: the first and only one.
    """
    side = look.side if look else SIDE
    y = y.astype(int)
    names = [str(n) for n in np.unique(origin) if _has_classes(y[origin == n], MIN_CLASS)]
    if not names:
        return replace(_too_few(y), look=look)
    compared = np.isin(origin, names)
    everything = _Rows(y, champion, challenger, pd.factorize(origin)[0])
    rows = everything.where(compared)
    interval = rows.gain(float(ndtri(1 - side)))
    gain = Gain(**vars(interval), margin=margin, level=1 - 2 * side)
    strata = [_stratum(name, everything.where(origin == name)) for name in names]

    findings = [_gain_finding(gain)]
    for stratum in strata:
        allowed = 0.0 if stratum.name == RECENT else WORSE_BEFORE
        findings.append(_auc_finding("challenge-auc", stratum.name, stratum.gain, allowed))
    findings.append(_loss_finding(strata))
    findings += _segment_findings(rows, segments[compared])

    failed = warnings(findings)
    figures = " and ".join(f"{stratum.rows:,} {stratum.name} rows" for stratum in strata)
    level = f"{100 * gain.level:.4g}%"
    if look:
        figures += f", look {look.number} at these rows"
    summary = f"gain in ROC AUC {gain.value:+.4f}, {level} interval {gain.interval}, on {figures}"
    why = f"Proven better: {summary}."
    if failed:
        reasons = "; ".join(dict.fromkeys(f"{f.subject}: {f.found}" for f in failed))
        why = f"Not promoted: {reasons} ({summary})."
    return Challenge(
        promote=not failed,
        why=why,
        rows=int(compared.sum()),
        strata=tuple(strata),
        gain=gain,
        findings=tuple(findings),
        look=look,
    )


def _too_few(y: np.ndarray) -> Challenge:
    negative, positive = np.bincount(y, minlength=2)
    finding = verdict(
        None,
        "challenge-gain",
        "model",
        found=f"{positive} positive and {negative} negative rows",
        expected=f"at least {MIN_CLASS} of each",
        action="wait for more labels",
    )
    why = f"Not proven: {finding.found} are too few."
    return Challenge(why=why, rows=len(y), findings=(finding,))


def _stratum(name: str, rows: _Rows) -> Stratum:
    before = log_losses(rows.y, rows.champion, FLOOR)
    differences = log_losses(rows.y, rows.challenger, FLOOR) - before
    se = float(differences.std(ddof=1)) / len(rows.y) ** 0.5
    return Stratum(
        name=name,
        rows=len(rows.y),
        positives=int(rows.y.sum()),
        champion=auc_interval(rows.y, rows.champion),
        challenger=auc_interval(rows.y, rows.challenger),
        gain=rows.gain(),
        loss=LossDifference(*_around(float(differences.mean()), Z * se), float(before.mean())),
    )


def _around(value: float, reach: float) -> tuple[float, float, float]:
    """Return a value and the ends of its interval."""
    return value, value - reach, value + reach


def _gain_finding(gain: Gain) -> Finding:
    found = f"gain {gain.value:+.4f}, at least {gain.low:+.4f}"
    return verdict(
        not gain.proven,
        "challenge-gain",
        "ROC AUC",
        found=found if gain.proven else f"not proven better ({found})",
        expected=f"a lower bound above {gain.margin:g}",
        action="keep the champion; compare again with more labels",
    )


def _auc_finding(code: str, name: str, gain: Difference, allowed: float = 0.0) -> Finding:
    worse = gain.high < -allowed
    found = f"ROC AUC {gain}"
    return verdict(
        worse,
        code,
        name,
        found=f"worse by {found}" if worse else found,
        expected="not proven worse" + (f" by more than {allowed:g}" if allowed else ""),
        action="keep the champion",
    )


def _loss_finding(strata: Sequence[Stratum]) -> Finding:
    """Compare the mean over the strata; they hold different rows, so the variances add."""
    losses = [stratum.loss for stratum in strata]
    champion = float(np.mean([loss.champion for loss in losses]))
    squares = sum((loss.value - loss.low) ** 2 for loss in losses)
    reach = float(np.sqrt(squares)) / len(losses)
    mean = Difference(*_around(float(np.mean([loss.value for loss in losses])), reach))
    worse = mean.low > WORSE_LOSS * champion
    found = f"log-loss {mean}"
    return verdict(
        worse,
        "challenge-calibration",
        "calibration",
        found=f"worse: {found}" if worse else found,
        expected=f"not proven worse by more than {WORSE_LOSS:.0%}",
        action="keep the champion; look at the labels that came in",
    )


def _segment_findings(rows: _Rows, segments: pd.DataFrame) -> list[Finding]:
    findings = []
    testable: list[tuple[str, np.ndarray]] = []
    for column in segments.columns:
        values = segments[column].astype("str").fillna("(missing)").to_numpy()
        for level in pd.unique(values):
            name, chosen = f"{column} = {level}", values == level
            enough = chosen.sum() >= MIN_SEGMENT
            if enough and _has_classes(rows.y[chosen], MIN_SEGMENT_CLASS):
                testable.append((name, chosen))
                continue
            few = verdict(
                None,
                "challenge-segment",
                name,
                found=f"{int(chosen.sum())} rows: too few to compare",
                expected=f"{MIN_SEGMENT} rows and {MIN_SEGMENT_CLASS} of each class",
            )
            findings.append(few)
    z = float(ndtri(1 - SIDE / max(1, len(testable))))
    for name, chosen in testable:
        gain = rows.where(chosen).gain(z)
        findings.append(_auc_finding("challenge-segment", name, gain))
    return findings


def _has_classes(y: np.ndarray, least: int) -> bool:
    return bool(np.bincount(y, minlength=2).min() >= least)

"""Challenge: whether a new model has proven itself against the one that is served, on the same rows.

The rows are those that neither model learnt from: the untouched holdout and, of recent labelled predictions, those that
were set aside when they came in (`fivefold.training.labelled_rows`). Each origin is a stratum: scores are compared within it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

from fivefold.core.findings import NOT_APPLICABLE, PASSED, WARNING, Finding
from fivefold.core.roc_auc import auc_interval, paired_test
from fivefold.core.scores import log_losses

HELD_OUT, RECENT = "held-out", "recent"  # origins of rows
MARGIN = 0.0  # ROC AUC by which the lower bound of the gain must exceed nothing
SIDE = 0.025  # one-sided error of each bound
MIN_CLASS = 30  # rows of each class below which a stratum cannot judge
MIN_SEGMENT, MIN_SEGMENT_CLASS = 60, 10
WORSE_BEFORE = 0.05  # ROC AUC on rows of the old table may be proven worse by at most this: the world may have changed
WORSE_LOSS = 0.02  # log-loss may be proven worse by at most this share of the champion's
FLOOR = 1e-6  # of a probability in its log-loss
Z = float(ndtri(1 - SIDE))


def challenge(
    y: np.ndarray,
    champion: np.ndarray,
    challenger: np.ndarray,
    origin: np.ndarray,
    segments: pd.DataFrame | None = None,
    margin: float = MARGIN,
) -> dict[str, Any]:
    """{promote, why, rows, strata, gain, findings}; JSON-ready.

    `y` 0/1, calibrated probabilities of both models, and the origin of each row, shape (rows,). `segments`: protected
    columns of the same rows. Promotion needs all of: the lower 97.5% bound of the mean gain in ROC AUC over the strata
    (DeLong's paired test) above `margin`; on recent rows no ROC AUC proven worse, on held-out ones none proven worse
    by more than `WORSE_BEFORE`; no mean log-loss over the strata proven worse by more than `WORSE_LOSS` (paired z test
    on rows); in no protected segment a ROC AUC proven worse (Bonferroni). What cannot be judged does not promote when
    it is the gain, and is named in any case.

    Labels that are wrong at random teach no better ranking, so they promote nobody. Labels that are wrong by a pattern
    cannot be told from a world that has changed: within `WORSE_BEFORE` only a person can (--require-approval).
    """
    y = y.astype(int)
    names = [str(n) for n in np.unique(origin) if _judged(y[origin == n], MIN_CLASS)]
    here = np.isin(origin, names)
    if not names:
        few = Finding(
            code="challenge-gain",
            severity=NOT_APPLICABLE,
            subject="model",
            found=f"{int(y.sum())} positive and {int((y == 0).sum())} negative rows",
            expected=f"at least {MIN_CLASS} of each",
            action="wait for more labels",
        )
        return {
            "promote": False,
            "why": f"Not proven: {few.found} cannot judge.",
            "rows": len(y),
            "strata": [],
            "gain": None,
            "findings": [few.to_dict()],
        }
    codes = pd.factorize(origin[here])[0]
    test = paired_test(y[here], challenger[here], champion[here], codes)
    gain = {
        "value": test["difference"],
        "low": test["difference"] - Z * test["se"],
        "high": test["difference"] + Z * test["se"],
        "margin": margin,
    }
    findings = [_gain(gain)]
    strata = []
    for name in names:
        rows = origin == name
        strata.append(line := _stratum(name, y[rows], champion[rows], challenger[rows]))
        findings.append(
            _not_worse("challenge-auc", name, line["gain"], 0.0 if name == RECENT else WORSE_BEFORE)
        )
    findings.append(_loss([line["loss"] for line in strata]))
    if segments is not None:
        findings += _segments(y[here], champion[here], challenger[here], codes, segments[here])
    failed = [f for f in findings if f.severity == WARNING]
    unproven = not (gain["low"] > margin)
    told = (
        f"gain in ROC AUC {gain['value']:+.4f}, 95% interval {gain['low']:+.4f} to {gain['high']:+.4f}, on "
        + " and ".join(f"{s['rows']:,} {s['name']} rows" for s in strata)
    )
    if failed:
        reasons = "; ".join(dict.fromkeys(f"{f.subject}: {f.found}" for f in failed))
        why = f"Not promoted: {reasons} ({told})."
    else:
        why = f"Proven better: {told}."
    return {
        "promote": not failed and not unproven,
        "why": why,
        "rows": int(here.sum()),
        "strata": strata,
        "gain": gain,
        "findings": [f.to_dict() for f in findings],
    }


def _stratum(
    name: str, y: np.ndarray, champion: np.ndarray, challenger: np.ndarray
) -> dict[str, Any]:
    test, each = (
        paired_test(y, challenger, champion),
        log_losses(y, challenger, FLOOR) - log_losses(y, champion, FLOOR),
    )
    se = float(each.std(ddof=1)) / len(y) ** 0.5
    before = float(log_losses(y, champion, FLOOR).mean())
    return {
        "name": name,
        "rows": len(y),
        "positives": int(y.sum()),
        "champion": auc_interval(y, champion),
        "challenger": auc_interval(y, challenger),
        "gain": {
            "value": test["difference"],
            "low": test["difference"] - Z * test["se"],
            "high": test["difference"] + Z * test["se"],
        },
        "loss": {
            "champion": before,
            "difference": float(each.mean()),
            "low": float(each.mean()) - Z * se,
            "high": float(each.mean()) + Z * se,
        },
    }


def _gain(gain: Mapping[str, float]) -> Finding:
    found = f"gain {gain['value']:+.4f}, at least {gain['low']:+.4f}"
    expected = f"a lower bound above {gain['margin']:g}"
    if gain["low"] > gain["margin"]:
        return Finding(
            code="challenge-gain",
            severity=PASSED,
            subject="ROC AUC",
            found=found,
            expected=expected,
        )
    return Finding(
        code="challenge-gain",
        severity=WARNING,
        subject="ROC AUC",
        found=f"not proven better ({found})",
        expected=expected,
        action="keep the champion; judge again with more labels",
    )


def _not_worse(code: str, name: str, gain: Mapping[str, float], allowed: float = 0.0) -> Finding:
    found = f"ROC AUC {gain['value']:+.4f} ({gain['low']:+.4f} to {gain['high']:+.4f})"
    expected = "not proven worse" + (f" by more than {allowed:g}" if allowed else "")
    if gain["high"] < -allowed:
        return Finding(
            code=code,
            severity=WARNING,
            subject=name,
            found=f"worse by {found}",
            expected=expected,
            action="keep the champion",
        )
    return Finding(code=code, severity=PASSED, subject=name, found=found, expected=expected)


def _loss(losses: Sequence[Mapping[str, float]]) -> Finding:
    """The mean over the strata; their rows are different ones, so the variances add."""
    value, before = (
        float(np.mean([loss[key] for loss in losses])) for key in ("difference", "champion")
    )
    reach = float(np.sqrt(sum((loss["difference"] - loss["low"]) ** 2 for loss in losses))) / len(
        losses
    )
    found = f"log-loss {value:+.4f} ({value - reach:+.4f} to {value + reach:+.4f})"
    expected = f"not proven worse by more than {WORSE_LOSS:.0%}"
    if value - reach > WORSE_LOSS * before:
        return Finding(
            code="challenge-calibration",
            severity=WARNING,
            subject="calibration",
            found=f"worse: {found}",
            expected=expected,
            action="keep the champion; look at the labels that came in",
        )
    return Finding(
        code="challenge-calibration",
        severity=PASSED,
        subject="calibration",
        found=found,
        expected=expected,
    )


def _segments(
    y: np.ndarray,
    champion: np.ndarray,
    challenger: np.ndarray,
    codes: np.ndarray,
    segments: pd.DataFrame,
) -> list[Finding]:
    found, tests = [], []
    for column in segments.columns:
        values = segments[column].astype("str").fillna("(missing)").to_numpy()
        for level in pd.unique(values):
            rows, name = values == level, f"{column} = {level}"
            if rows.sum() >= MIN_SEGMENT and _judged(y[rows], MIN_SEGMENT_CLASS):
                tests.append(
                    (name, paired_test(y[rows], challenger[rows], champion[rows], codes[rows]))
                )
            else:
                few = f"{int(rows.sum())} rows: too few to judge"
                found.append(
                    Finding(
                        code="challenge-segment",
                        severity=NOT_APPLICABLE,
                        subject=name,
                        found=few,
                        expected=f"{MIN_SEGMENT} rows and {MIN_SEGMENT_CLASS} of each class",
                    )
                )
    z = float(ndtri(1 - SIDE / max(1, len(tests))))
    for name, test in tests:
        gain = {
            "value": test["difference"],
            "low": test["difference"] - z * test["se"],
            "high": test["difference"] + z * test["se"],
        }
        found.append(_not_worse("challenge-segment", name, gain))
    return found


def _judged(y: np.ndarray, least: int) -> bool:
    return min(int((y == 1).sum()), int((y == 0).sum())) >= least

"""Selection: the five arms in order, and which of them cannot be told from the winner."""

from __future__ import annotations

from typing import Any

import numpy as np

from fivefold.core.findings import ERROR, Finding, Refused
from fivefold.core.roc_auc import holm, paired_test
from fivefold.training.algorithms import ALGORITHMS

SAME = 0.05  # Holm-adjusted p value at or above which a candidate counts as indistinguishable


def rank(
    candidates: list[dict[str, Any]],
    oofs: dict[str, np.ndarray],
    y: np.ndarray,
    fold_ids: np.ndarray,
) -> list[dict[str, Any]]:
    """The leaderboard: candidates by mean ROC AUC over the folds, best first, failed ones last.

    Ties go to the smaller spread, then to the earlier name. Each candidate gets rank, p_value (DeLong's paired test
    on the winner's rows, fold by fold, adjusted by Holm) and indistinguishable. Raises `Refused`, naming every
    reason, when all have failed.
    """
    alive = sorted(
        (c for c in candidates if c["status"] == "ok"),
        key=lambda c: (-c["auc_mean"], c["auc_std"], c["algorithm"]),
    )
    failed = sorted((c for c in candidates if c["status"] != "ok"), key=lambda c: c["algorithm"])
    if not alive:
        reasons = "\n".join(f"  {c['algorithm']}: {c['error']}" for c in failed)
        raise Refused(
            "There is no model",
            [
                Finding(
                    code="all-arms-failed",
                    severity=ERROR,
                    subject="tune",
                    found=f"all {len(failed)} algorithms failed:\n{reasons}",
                    expected="at least one result",
                    action="mend the cause, then redo the arms: python flows/train.py resume tune",
                )
            ],
        )
    rows = fold_ids >= 0
    best = oofs[alive[0]["algorithm"]][rows]
    p_values = holm(
        [
            paired_test(y[rows], best, oofs[c["algorithm"]][rows], fold_ids[rows])["p_value"]
            for c in alive[1:]
        ]
    )
    told = [
        {**c, "rank": n, "p_value": p, "indistinguishable": p is None or p >= SAME}
        for n, (c, p) in enumerate(zip(alive, [None, *p_values], strict=True), 1)
    ]
    return told + [{**c, "rank": None, "p_value": None, "indistinguishable": False} for c in failed]


def failed_candidate(name: str, error: str, seconds: float = 0.0) -> dict[str, Any]:
    """What stands in the leaderboard for an arm that raised, was killed or timed out."""
    return {
        "algorithm": name,
        "status": "failed",
        "params": {},
        "rounds": None,
        "auc_mean": None,
        "auc_std": None,
        "fold_scores": [],
        "seconds": seconds,
        "max_rows": None,
        "rows_fit": None,
        "trials": [],
        "error": error,
    }


def title(name: str) -> str:
    """The algorithm's name for people."""
    return ALGORITHMS[name].title if name in ALGORITHMS else "Blend" if name == "blend" else name

"""Blend: a weighted mean of the algorithms' probabilities, chosen on out-of-fold rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fivefold.core.roc_auc import roc_auc
from fivefold.core.stored import Stored
from fivefold.data.splits import subsample
from fivefold.model.calibration import scored_rows
from fivefold.training.fit_plan import DEFAULT_PLAN, FitPlan
from fivefold.training.leaderboard import common_folds, title
from fivefold.training.metric import METRICS, ROC_AUC, Metric

STEPS = 12  # of the greedy choice: no algorithm worth less than a twelfth is fitted and served
MOST_ROWS = 20_000  # out-of-fold rows that the choice uses; more move no weight by much
PRIOR_ROWS = 500  # rows that equal weights count for: with few others they are the safer choice
BASELINE_ALONE = "plain"  # of --serve: the plain logistic regression
LEAST_SHARE = 1 / 24  # of an algorithm, below which equal weights do not bring it in


@dataclass(frozen=True)
class Ensemble(Stored):
    """The blend of a run and, once decided, what is served.

    Parameters
    ----------
    weights : share of each algorithm, above 0, sum 1
    auc_mean, auc_std, fold_scores : ROC AUC over the folds, nested (`blend`)
    gain, gain_low, gain_high : mean difference to the winner over the folds, with its 95% interval
    served, why : "blend" or "single" (the winner), and the reason
    plan : how the final models are fitted
    metric : in which the weights were chosen and `gain` is measured
    """

    stored_as: ClassVar = {"plan": "fits"}

    weights: dict[str, float]
    auc_mean: float
    auc_std: float
    fold_scores: list[float]
    gain: float
    gain_low: float
    gain_high: float
    served: str = ""
    why: str = ""
    plan: FitPlan = DEFAULT_PLAN
    metric: str = ROC_AUC.name

    @property
    def shares(self) -> str:
        """The weights for people, such as "LightGBM 75%, XGBoost 25%"."""
        return ", ".join(f"{title(name)} {share:.0%}" for name, share in self.weights.items())

    @property
    def gain_text(self) -> str:
        """The gain with its interval, such as "+0.0012 (-0.0003 to +0.0027)"."""
        return f"{self.gain:+.4f} ({self.gain_low:+.4f} to {self.gain_high:+.4f})"


def blend(
    oofs: Mapping[str, np.ndarray],
    y: np.ndarray,
    fold_ids: np.ndarray,
    winner: str,
    metric: Metric = ROC_AUC,
) -> tuple[Ensemble, np.ndarray]:
    """Return the blend of these algorithms and its out-of-fold probabilities, shape (rows,).

    These are NaN in folds that an algorithm has not scored. Where they have a single fold in
    common, all scores in it are of the same models; it is then divided into three.

    Algorithms are added one by one, with replacement, each time the one that raises the mean of the
    metric over the folds most. With few rows the weights are drawn to equal ones (`prior_share`).
    The evaluation is nested: the weights that score a fold were chosen on the other folds, so that
    the choice has no part in the figure. The out-of-fold probabilities are these nested ones too.
    The gain has its interval by the paired test of the metric.

    Parameters
    ----------
    oofs : out-of-fold probabilities of each algorithm, shape (rows,)
    y, fold_ids : labels and fold assignment of the same rows
    winner : the best algorithm

    References
    ----------
    Caruana et al. 2004, "Ensemble selection from libraries of models".
    """
    names = sorted(oofs, key=lambda name: (name != winner, name))  # of equals the first is added
    everywhere = common_folds(list(oofs.values()), fold_ids)
    scored, parts = scored_rows(oofs[winner], everywhere)
    folds = [scored[parts == part] for part in np.unique(parts)]
    samples = [subsample(rows, y, MOST_ROWS // len(folds), 0) for rows in folds]
    share = prior_share(len(scored), len(names))
    weights = _choose(names, oofs, y, samples, share, metric)
    nested = np.full(len(y), np.nan, dtype="float32")
    scores = []
    for number, rows in enumerate(folds):
        others = samples[:number] + samples[number + 1 :]
        nested[rows] = mixed(oofs, _choose(names, oofs, y, others, share, metric))[rows]
        scores.append(roc_auc(y[rows], nested[rows]))
    gain = metric.compare(y[scored], nested[scored], oofs[winner][scored], parts)
    difference, margin = gain["difference"], 1.96 * gain["se"]
    ensemble = Ensemble(
        weights=weights,
        auc_mean=float(np.mean(scores)),
        auc_std=float(np.std(scores, ddof=1)),
        fold_scores=scores,
        gain=difference,
        gain_low=difference - margin,
        gain_high=difference + margin,
        metric=metric.name,
    )
    return ensemble, nested


def mixed(parts: Mapping[str, np.ndarray], weights: Mapping[str, float]) -> np.ndarray:
    """Return the weighted mean of probabilities by algorithm, shape (rows,)."""
    return np.average([parts[name] for name in weights], axis=0, weights=list(weights.values()))


def choose_served(asked: str, ensemble: Ensemble) -> tuple[str, str]:
    """Return what is served, "single" or "blend", and why.

    With `asked` (the option --serve) "auto" it is the blend, unless its nested gain is below 0
    beyond chance. The winner's own figure is the best of many trials, and so too high, while the
    blend is evaluated on folds that had no part in its choice: a small loss proves nothing.

    >>> loss = Ensemble({"lightgbm": 0.6, "xgboost": 0.4}, 0.8, 0.01, [], -0.002, -0.005, 0.001)
    >>> choose_served("auto", loss)
    ('blend', 'nested gain -0.0020 (-0.0050 to +0.0010) in ROC AUC')
    """
    if asked == BASELINE_ALONE:
        return "single", "--serve plain"
    if len(ensemble.weights) < 2:
        return "single", "the greedy choice took the winner alone"
    if asked != "auto":
        return asked, f"--serve {asked}"
    gain = f"nested gain {ensemble.gain_text} in {METRICS[ensemble.metric].title}"
    if ensemble.gain_high >= 0:
        return "blend", gain
    return "single", f"{gain}: worse than the winner beyond chance"


def prior_share(rows: int, algorithms: int) -> float:
    """Return how far the weights of a blend are drawn to equal ones, 0 to 1.

    As if equal weights had been best on `PRIOR_ROWS` other rows: weights that few rows chose are
    mostly noise. What this is worth: docs/tuning.md. 0 where an algorithm's part of it would be
    below `LEAST_SHARE`.

    References
    ----------
    Diebold and Pauly 1990, "The use of prior information in forecast combination".

    >>> prior_share(500, 5), round(prior_share(1500, 5), 2), prior_share(2000, 5)
    (0.5, 0.25, 0.0)
    """
    share = PRIOR_ROWS / (PRIOR_ROWS + rows)
    return share if share / algorithms >= LEAST_SHARE else 0.0


def _choose(
    names: Sequence[str],
    oofs: Mapping[str, np.ndarray],
    y: np.ndarray,
    samples: Sequence[np.ndarray],
    share: float,
    metric: Metric = ROC_AUC,
) -> dict[str, float]:
    """Return {algorithm: weight > 0}, the best prefix of the greedy steps.

    `share` draws the weights to equal ones.

    `samples`: positions of the rows of each fold that the choice uses.
    """
    total = np.zeros(len(y))
    added: list[str] = []
    reached: list[float] = []
    for step in range(1, STEPS + 1):
        scores = {}
        for name in names:
            mean = (total + oofs[name]) / (1 if metric is ROC_AUC else step)  # ranks need no mean
            scores[name] = float(np.mean([metric.score(y[rows], mean[rows]) for rows in samples]))
        best = max(names, key=scores.__getitem__)
        total += oofs[best]
        added.append(best)
        reached.append(scores[best])
    highest = np.array(reached) >= max(reached) - 1e-12
    chosen = added[: int(np.argmax(highest)) + 1]
    weights = {}
    for name in names:
        greedy = chosen.count(name) / len(chosen)
        weights[name] = (1 - share) * greedy + share / len(names)
    return {name: weight for name, weight in weights.items() if weight > 0}

"""Floor: what every model has to reach before it is served, unless a person says otherwise."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from fivefold.core.findings import PASSED, Finding, verdict, warnings
from fivefold.core.roc_auc import too_few_to_judge
from fivefold.core.scope import Scope
from fivefold.model.doubts import doubts
from fivefold.model.evaluation import PLAIN_BASELINE, SUCCESS, Baseline, Evaluation
from fivefold.serving.local_server import SmokeResult

WORSE = 0.05  # p value of the two-sided paired test below which a model is proven worse


def floor_findings(evaluation: Evaluation) -> list[Finding]:
    """Return whether a model is proven to rank, and whether it is proven worse than a plain one.

    The first: the lower end of the 95% interval of its held-out ROC AUC is above .5. The second:
    DeLong's paired test against the plain logistic regression on the same held-out rows.
    """
    auc = evaluation.auc
    if not auc:  # of an older version
        return []
    interval = f"ROC AUC {auc['value']:.3f}, 95% interval {auc['low']:.3f} to {auc['high']:.3f}"
    few = too_few_to_judge(auc)
    fails = few or auc["low"] <= 0.5
    found = f"not proven to rank: {interval}" if fails else interval
    if few:
        found += ", too few held-out rows of a class to judge by"
    ranks = verdict(
        fails,
        "floor-ranks",
        "model",
        found=found,
        expected="a model that is proven to rank: a lower end above 0.5",
        action="give more rows or better columns",
    )
    plain = [b for b in evaluation.baselines if b.name == PLAIN_BASELINE]
    return [ranks, *(_against_plain(auc["value"], other) for other in plain)]


def _against_plain(auc: float, plain: Baseline) -> Finding:
    gain, p_value = plain.gain or 0.0, 1.0 if plain.p_value is None else plain.p_value
    worse = gain < 0 and p_value < WORSE
    compared = "worse than" if worse else "not proven worse than"
    return verdict(
        worse,
        "floor-baseline",
        "model",
        found=f"{compared} the plain logistic regression on the same rows: "
        f"ROC AUC {auc:.3f} against {plain.auc:.3f}, p {p_value:.2g}",
        expected="not proven worse",
        action="serve the plain one: python flows/train.py run --serve plain",
    )


def held_back_by(evaluation: Evaluation, scope: Scope) -> list[Finding]:
    """Return everything that holds a first model back: floor, doubts, and the aim of the scope."""
    success = [f for f in evaluation.findings if f.code == SUCCESS]
    missed = [f for f in success if scope.min_roc_auc is not None and f.severity != PASSED]
    return [*missed, *warnings(floor_findings(evaluation)), *doubts(evaluation.findings)]


def new_doubts(evaluation: Evaluation, accepted: Collection[Finding]) -> list[Finding]:
    """Return the doubts about a challenger that its champion was not promoted in spite of."""
    known = {(finding.code, finding.subject) for finding in accepted}
    return [f for f in doubts(evaluation.findings) if (f.code, f.subject) not in known]


def smoke_finding(answer: SmokeResult | None) -> Finding:
    """Return the finding on a smoke test; None: there is no server here."""
    return verdict(
        None if answer is None else not answer.ok,
        "challenge-smoke",
        "server",
        found=answer.why if answer else "no server on this machine to try the model in",
        expected="the model's own answers from the real server",
        action="keep the champion",
    )


def reasons(findings: Sequence[Finding]) -> str:
    """Return why a model is held back, in one line.

    >>> leak = verdict(True, "leak", "pay", found="AUC 1.0")
    >>> reasons([leak, verdict(True, "floor-ranks", "model", found="ROC AUC 0.488")])
    'pay: AUC 1.0; ROC AUC 0.488'
    """
    parts = [f.found if f.subject == "model" else f"{f.subject}: {f.found}" for f in findings]
    return "; ".join(dict.fromkeys(parts))

"""Answers: a visitor's question about one case and the model's answer."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from functools import cached_property

import streamlit as st

from fivefold.core.findings import Refused
from fivefold.journal.writer import NotKept
from fivefold.model import case as cases
from fivefold.model.bundle import Bundle, refused_assessment
from fivefold.model.case import Case
from fivefold.model.counterfactual import Counterfactual, counterfactuals
from fivefold.model.explain import Explanation, explain
from fivefold.model.input_warnings import InputWarning
from fivefold.serving.journal_rows import left_alone
from fivefold.serving.served_model import ServedModel
from frontend.data import predictions

ANSWER = "answer"  # key of the session state: the visitor's last answer


@dataclass
class Answer:
    """One case and the model's answer, which is in the journal.

    `bundle` decides at the threshold of that moment. Without `missing` values and without an
    `error` there is a `probability` and a `decision`. `lost` says why the answer could not be
    recorded; then it must not be shown. `where` is "journal" or "spool". `control`: the case is to
    be left alone.
    """

    model: str
    bundle: Bundle
    case: Case
    missing: list[str] = field(default_factory=list)
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    probability: float = float("nan")
    decision: str = ""
    error: str = ""
    warnings: list[InputWarning] = field(default_factory=list)
    where: str = ""
    control: bool = False
    lost: str = ""

    @cached_property
    def explanation(self) -> Explanation | Refused:
        """Why the case has its probability, or why there is no explanation."""
        try:
            return explain(self.bundle, self.case)
        except Refused as refused:
            return refused

    @cached_property
    def counterfactuals(self) -> list[Counterfactual]:
        """The changes that would turn the decision."""
        return counterfactuals(self.bundle, self.case)


def last() -> Answer | None:
    """Return the visitor's last answer."""
    answer: Answer | None = st.session_state.get(ANSWER)
    return answer


def ask(model: ServedModel, case: Case, missing: list[str]) -> Answer:
    """Score one case, record it in the journal and keep the answer for this visit.

    `missing` names columns without a value that the model needs; such a case is recorded as
    refused.
    """
    began = time.perf_counter()
    bundle = model.bundle
    answer = Answer(model.pathspec, bundle, case, missing)
    if missing:
        assessment = refused_assessment(missing)
    else:
        assessment = bundle.assess(cases.raw_table(case, bundle.schema))
    latency_ms = 1000 * (time.perf_counter() - began)
    rows = cases.request_body(case, bundle.schema)["rows"]  # as a program would send them
    try:
        answer.where = predictions.keep(model, rows, assessment, [answer.id], latency_ms)
    except NotKept as lost:
        answer.lost = str(lost)
    else:
        score = assessment.scores.iloc[0]
        answer.probability = float(score["probability"])
        answer.decision, answer.error = score["decision"], score["error"]
        answer.warnings = assessment.warnings
        (answer.control,) = left_alone(rows, [answer.id], bundle.metadata.scope)
    st.session_state[ANSWER] = answer
    return answer

"""Form: a widget for each column of the model's input contract."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pandas as pd
import streamlit as st

from fivefold.core.schema import Column
from fivefold.model.bundle import Bundle
from frontend.widgets.plain_text import UNKNOWN, plain

CENTURY, EPOCH = 36_525, dt.date(1970, 1, 1).toordinal()  # days
MODEL = "form_model"  # session state: whose form was shown last
SHOWN = 24  # columns asked at once, the most important; the others are folded away


def case_form(bundle: Bundle) -> dict[str, Any] | None:
    """A form over all used columns; the answers by column once it is sent, else None. None in it means unknown.

    Each model has a form of its own, which keeps its answers during the visit: what was typed for one model is never
    sent to another that was trained meanwhile.
    """
    columns, model = _in_order(bundle), bundle.metadata.provenance.pathspec
    if st.session_state.setdefault(MODEL, model) != model:
        st.info(
            f"The model is another one now ({model}): this is its own form.",
            icon=":material/autorenew:",
        )
        st.session_state[MODEL] = model
    with st.form(f"case {model}", border=False):
        answers = _side_by_side(bundle, columns[:SHOWN])
        if columns[SHOWN:]:
            with st.expander(f"{len(columns) - SHOWN} more columns, of less weight"):
                answers |= _side_by_side(bundle, columns[SHOWN:])
        sent = st.form_submit_button("Predict", type="primary", width="stretch")
    return {c.name: answers[c.name] for c in bundle.schema.columns if c.used} if sent else None


def ask(bundle: Bundle, column: Column, key: str, start: Any, **more: Any) -> Any:
    """The widget of one column, prefilled with `start`; `more` goes to the widget as it is.

    Its answer is plain data (number, text, ISO date) or None for unknown.
    """
    about = {
        "label": column_label(bundle, column),
        "key": key,
        "help": describe(bundle, column),
        **more,
    }
    if column.kind == "numeric":
        return _number(column, start, about)
    if column.kind == "date":
        st.session_state.setdefault(key, dt.date.fromisoformat(start[:10]) if start else None)
        day = st.date_input(
            value=None,
            min_value=_date((column.low or 0) - CENTURY),
            max_value=_date((column.high or 0) + CENTURY),
            required=not column.nullable,
            **about,
        )
        return day.isoformat() if day else None
    if column.kind in ("categorical", "boolean"):
        options = [*column.levels, *([None] if column.nullable else [])]
        options += [start] if start not in options else []
        st.session_state.setdefault(key, start)
        unknown = (
            UNKNOWN  # a table may have a level of that name: two equal labels would be one option
        )
        while unknown in options:
            unknown = f"({unknown})"
        if column.kind == "boolean":
            return st.radio(
                options=options,
                horizontal=True,
                **about,
                format_func=lambda level: plain(unknown if level is None else level),
            )
        return st.selectbox(
            options=options,
            accept_new_options=True,
            **about,
            format_func=lambda level: unknown if level is None else level,
        )
    st.session_state.setdefault(key, start or "")
    return st.text_area(placeholder=bundle.metadata.scope.help.get(column.name), **about) or None


def column_label(bundle: Bundle, column: Column) -> str:
    """The column's name with its unit, free of Markdown."""
    unit = bundle.metadata.scope.units.get(column.name)
    return plain(f"{column.name} ({unit})" if unit else column.name)


def describe(bundle: Bundle, column: Column) -> str:
    """The scope's help, the range or number of levels seen in training, and whether the value may be unknown."""
    told = [bundle.metadata.scope.help.get(column.name, "")]
    if column.kind == "numeric" and column.low is not None and column.high is not None:
        told.append(f"Training saw {column.low:,.6g} to {column.high:,.6g}")
    elif column.kind == "date" and column.low is not None and column.high is not None:
        told.append(f"Training saw {_day(column.low)} to {_day(column.high)}")
    elif column.kind == "categorical":
        told.append(f"{column.distinct:,} values seen in training; type another to try it")
    if column.kind != "text":
        told.append(
            "may be left unknown"
            if column.nullable
            else "a value is needed: training never saw it missing"
        )
    return plain(". ".join(t.rstrip(". ") for t in told if t) + ".")


def typical(column: Column) -> Any:
    """The value a form starts with: median or most frequent, as plain data; None where none is known."""
    if column.typical is None or column.kind == "text":
        return None
    if column.kind == "date":
        return _day(column.typical)
    if column.kind == "numeric":
        return round(column.typical) if column.integer else float(column.typical)
    return str(column.typical)


def gaps(bundle: Bundle, answers: dict[str, Any]) -> list[str]:
    """The columns left unknown although training never saw them missing."""
    return [
        name
        for name, value in answers.items()
        if value is None and not bundle.schema[name].nullable and bundle.schema[name].kind != "text"
    ]


def _number(column: Column, start: Any, about: dict[str, Any]) -> Any:
    whole = column.integer and (start is None or float(start).is_integer())
    st.session_state.setdefault(
        about["key"], None if start is None else int(start) if whole else float(start)
    )
    # value=None makes the box one that can be emptied; what it starts with comes from the session's state
    return st.number_input(
        value=None,
        step=1 if whole else _step(column),
        placeholder=UNKNOWN,
        format="%d" if whole else "%.6g",
        required=not column.nullable,
        **about,
    )


def _step(column: Column) -> float:
    """About a hundredth of the training range, as a power of ten."""
    span = (column.high or 0.0) - (column.low or 0.0)
    return 10.0 ** (len(f"{int(span)}") - 3) if span >= 1 else max(span / 100, 1e-6)


def _side_by_side(bundle: Bundle, columns: list[Column]) -> dict[str, Any]:
    answers, model = {}, bundle.metadata.provenance.pathspec
    for start in range(0, len(columns), 2):
        for side, column in zip(st.columns(2), columns[start : start + 2], strict=False):
            with side:
                answers[column.name] = ask(
                    bundle,
                    column,
                    f"case {model} {column.name}",
                    typical(column),
                    persist_state="session",
                )
    return answers


def _in_order(bundle: Bundle) -> list[Column]:
    """The contract's order; of more than `SHOWN` columns the important ones (by permutation) first."""
    columns = [c for c in bundle.schema.columns if c.used]
    if len(columns) <= SHOWN:
        return columns
    weight = bundle.metadata.importance
    return sorted(columns, key=lambda c: -weight.get(c.name, 0.0))


def _date(days: float) -> dt.date:
    """Days since 1970-01-01 as a date, the nearest that there is."""
    return dt.date.fromordinal(int(min(max(EPOCH + days, 1), dt.date.max.toordinal())))


def _day(days: float) -> str:
    return f"{pd.Timestamp('1970-01-01') + pd.Timedelta(days=int(days)):%Y-%m-%d}"

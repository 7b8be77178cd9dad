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
SHOWN = 24  # columns shown at once, the most important; the others are folded away


def case_form(bundle: Bundle) -> dict[str, Any] | None:
    """Show a form of all used columns; return the answers once it is sent, else None.

    None in the answers means unknown. Each model has a form of its own, which keeps its answers
    during the visit: what was typed for one model is never sent to another.
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
        rest = columns[SHOWN:]
        if rest:
            with st.expander(f"{len(rest)} more columns, less important"):
                answers |= _side_by_side(bundle, rest)
        sent = st.form_submit_button("Predict", type="primary", width="stretch")
    if not sent:
        return None
    return {column.name: answers[column.name] for column in bundle.schema.columns if column.used}


def ask(bundle: Bundle, column: Column, key: str, start: Any, **more: Any) -> Any:
    """Show the widget of one column, which starts with `start`.

    Returns
    -------
    Plain data (number, text, ISO date), None for unknown.
    """
    label, text = column_label(bundle, column), describe(bundle, column)
    options = {"label": label, "key": key, "help": text, **more}
    if column.kind == "numeric":
        return _number(column, start, options)
    if column.kind == "date":
        return _day_of(column, start, options)
    if column.kind in ("categorical", "boolean"):
        return _level(column, start, options)
    st.session_state.setdefault(key, start or "")
    placeholder = bundle.metadata.scope.help.get(column.name)
    return st.text_area(placeholder=placeholder, **options) or None


def column_label(bundle: Bundle, column: Column) -> str:
    """Return the column's name with its unit, free of Markdown."""
    seconds = "seconds" if column.parse.get("form") == "duration" else ""
    unit = bundle.metadata.scope.units.get(column.name) or column.parse.get("unit") or seconds
    return plain(f"{column.name} ({unit})" if unit else column.name)


def describe(bundle: Bundle, column: Column) -> str:
    """Return the scope's help, what training saw, and whether the value may be unknown."""
    sentences = [bundle.metadata.scope.help.get(column.name, "")]
    if column.kind == "categorical":
        seen = f"{column.distinct:,} values seen in training"
        sentences.append(f"{seen}; type another to try it")
    elif column.low is not None and column.high is not None:
        if column.kind == "numeric":
            sentences.append(f"Training saw {column.low:,.6g} to {column.high:,.6g}")
        elif column.kind == "date":
            sentences.append(f"Training saw {_day(column.low)} to {_day(column.high)}")
    if column.monotone:
        never = "lowers" if column.monotone == "increasing" else "raises"
        sentences.append(f"With all else equal, a higher value never {never} the probability")
    if column.kind != "text":
        needed = "a value is needed: training never saw it missing"
        sentences.append("may be left unknown" if column.nullable else needed)
    given = [sentence.rstrip(". ") for sentence in sentences if sentence]
    return plain(". ".join(given) + ".")


def typical(column: Column) -> Any:
    """Return the value that a form starts with: median or most frequent one, or None."""
    if column.typical is None or column.kind == "text":
        return None
    if column.kind == "date":
        return _day(column.typical)
    if column.kind == "numeric":
        return round(column.typical) if column.integer else float(column.typical)
    return str(column.typical)


def gaps(bundle: Bundle, answers: dict[str, Any]) -> list[str]:
    """Return the columns left unknown although training never saw them missing."""
    return [
        name
        for name, value in answers.items()
        if value is None and not bundle.schema[name].nullable and bundle.schema[name].kind != "text"
    ]


def _number(column: Column, start: Any, options: dict[str, Any]) -> Any:
    whole = column.integer and (start is None or float(start).is_integer())
    number_type = int if whole else float
    st.session_state.setdefault(options["key"], None if start is None else number_type(start))
    # value=None makes a box that can be emptied; it starts with the session's state
    return st.number_input(
        value=None,
        step=1 if whole else _step(column),
        placeholder=UNKNOWN,
        format="%d" if whole else "%.6g",
        required=not column.nullable,
        **options,
    )


def _day_of(column: Column, start: Any, options: dict[str, Any]) -> str | None:
    first = dt.date.fromisoformat(start[:10]) if start else None
    st.session_state.setdefault(options["key"], first)
    day = st.date_input(
        value=None,
        min_value=_date((column.low or 0) - CENTURY),
        max_value=_date((column.high or 0) + CENTURY),
        required=not column.nullable,
        **options,
    )
    return day.isoformat() if day else None


def _level(column: Column, start: Any, options: dict[str, Any]) -> Any:
    levels = [*column.levels, *([None] if column.nullable else [])]
    if start not in levels:
        levels.append(start)
    st.session_state.setdefault(options["key"], start)
    # A column may have a level of that name: two equal labels would be one option.
    unknown = UNKNOWN
    while unknown in levels:
        unknown = f"({unknown})"

    def label(level: Any) -> str:
        return unknown if level is None else str(level)

    if column.kind == "boolean":
        return st.radio(
            options=levels,
            horizontal=True,
            **options,
            format_func=lambda level: plain(label(level)),
        )
    return st.selectbox(options=levels, accept_new_options=True, **options, format_func=label)


def _step(column: Column) -> float:
    """Return about a hundredth of the training range, as a power of ten."""
    span = (column.high or 0.0) - (column.low or 0.0)
    return 10.0 ** (len(f"{int(span)}") - 3) if span >= 1 else max(span / 100, 1e-6)


def _side_by_side(bundle: Bundle, columns: list[Column]) -> dict[str, Any]:
    answers = {}
    model = bundle.metadata.provenance.pathspec
    for start in range(0, len(columns), 2):
        for side, column in zip(st.columns(2), columns[start : start + 2], strict=False):
            key = f"case {model} {column.name}"
            with side:
                value = ask(bundle, column, key, typical(column), persist_state="session")
            answers[column.name] = value
    return answers


def _in_order(bundle: Bundle) -> list[Column]:
    """Return the used columns; of more than `SHOWN` the important ones first."""
    columns = [column for column in bundle.schema.columns if column.used]
    if len(columns) <= SHOWN:
        return columns
    importance = bundle.metadata.importance
    return sorted(columns, key=lambda column: -importance.get(column.name, 0.0))


def _date(days: float) -> dt.date:
    """Return days since 1970-01-01 as a date, the nearest that exists."""
    return dt.date.fromordinal(int(min(max(EPOCH + days, 1), dt.date.max.toordinal())))


def _day(days: float) -> str:
    return f"{pd.Timestamp('1970-01-01') + pd.Timedelta(days=int(days)):%Y-%m-%d}"

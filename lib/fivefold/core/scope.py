"""Scope: the business problem as plain data, from TOML and the command line."""

from __future__ import annotations

import contextlib
import difflib
import json
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from fivefold.core.findings import Finding, Refused, problem, refusal

KINDS = ("numeric", "categorical", "boolean", "date", "text", "id", "constant")
DIRECTIONS = ("increasing", "decreasing")
ROC_AUC, PR_AUC, LOG_LOSS = METRICS = ("roc_auc", "pr_auc", "log_loss")
BALANCED = "balanced"
UNREADABLE = "(unreadable)"
NO_GROUP = "none"  # in place of a group column: every row is a case of its own
AIM = re.compile(r"f1|balanced accuracy|recall (0?\.\d*[1-9]\d*|1(\.0*)?)")  # of [costs.aim]
_REFUSED = "The scope cannot be used"


@dataclass(frozen=True)
class Scope:
    """What is predicted, about whom, and what the two mistakes cost.

    Every key of a scope file is one attribute; the key in TOML stands in brackets.

    Attributes
    ----------
    title, question : [title], [question], texts for people
    data, query : [data], [query], a path or address, and the SQL query for a database or the sheet
        of a workbook
    truth : [truth], "synthetic" where `fivefold.data.synthetic.bank` drew the table, so that the
        best possible ROC AUC is known
    target : [target.column], the column to predict
    positive : [target.positive], its label that is predicted
    empty_label : [target.empty], the label of rows whose cell is empty, such as "0"
    positive_phrase, negative_phrase : [target.positive_phrase], [target.negative_phrase], the two
        outcomes in words
    horizon_days : [target.horizon], days until a case without an event counts as negative; younger
        cases are neither judged on their labels nor learnt from
    id_columns : [columns.id], columns that identify rows; the model does not see them
    drop_columns : [columns.drop], columns that the model must not see
    protected_columns : [columns.protected], columns by which results are compared between groups
    changeable_columns : [columns.changeable], columns that advice may change
    known_columns : [columns.known], columns that look like leaks of the target but are known when a
        prediction is made
    optional_columns : [columns.optional], columns that a row to be scored may lack; without any,
        those that training saw empty and that hardly matter to the model
    group_column : [columns.group], rows of one group stay on one side of every split; "none" if
        every row is a case of its own, which else is looked for
    time_column : [columns.time], the latest rows are held out
    reference_column : [columns.reference], the moment at which a row is known, from which its dates
        count back: a date column, or "now" for the day of scoring
    weight_column : [columns.weight], how much each row counts in every fit; the model does not see
        it, and no figure but the weighted ROC AUC uses it
    monotone : [columns.monotone], column of numbers or yes/no to one of `DIRECTIONS`: with all else
        equal, a higher value never lowers (never raises) the probability
    class_weight : [target.class_weight], how much a positive row counts in every fit, or "balanced"
        for as much in all as the negative ones; calibration leads back to the real rates
    kinds : [columns.kinds], column to one of `KINDS`, in place of the inferred kind
    formats : [columns.formats], date column to the format of its texts, such as "%d/%m/%Y"
    missing_texts, kept_texts : [missing.texts], [missing.keep], texts that mean missing in every
        column beside the usual ones (`fivefold.data.missing_markers`), and usual ones that do not
    missing_in, kept_in : [columns.missing], [columns.keep], the same for one column
    units, help : [columns.units], [columns.help], column to a text for forms and charts
    cost_miss, cost_false_alarm : [costs.miss], [costs.false_alarm], in any one unit; only their
        ratio moves the threshold
    aim : [costs.aim], what the threshold is for where the costs are unknown: "f1", "balanced
        accuracy" or a recall such as "recall 0.8"
    capacity : [costs.capacity], the largest share of cases that can be acted on, in (0, 1]
    min_roc_auc : [success.roc_auc], the least ROC AUC of a useful model, in (0, 1]
    near_perfect : [success.near_perfect], why a nearly perfect ROC AUC is right; without it such a
        model waits for a person
    metric : [success.metric], one of `METRICS`, by which settings, algorithms and blend are chosen
    max_latency_ms : [success.latency_ms], the longest median time of one prediction at promotion
    control_share : [monitoring.control_share], the share of cases, drawn at random, that are to be
        left alone whatever is predicted; performance is judged on them, in (0, 0.5]
    retention_days : [journal.retention_days], how long the journal keeps predictions
    pseudonymised_columns : [journal.pseudonymised], columns that the journal keeps as keyed hashes
    """

    target: str = ""
    positive: str | None = None
    title: str = ""
    question: str = ""
    data: str = ""
    query: str = ""
    truth: str = ""
    positive_phrase: str = "positive"
    negative_phrase: str = "negative"
    id_columns: tuple[str, ...] = ()
    drop_columns: tuple[str, ...] = ()
    protected_columns: tuple[str, ...] = ()
    changeable_columns: tuple[str, ...] = ()
    known_columns: tuple[str, ...] = ()
    group_column: str | None = None
    time_column: str | None = None
    reference_column: str | None = None
    optional_columns: tuple[str, ...] = ()
    empty_label: str | None = None
    missing_texts: tuple[str, ...] = ()
    kept_texts: tuple[str, ...] = ()
    missing_in: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    kept_in: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    formats: Mapping[str, str] = field(default_factory=dict)
    weight_column: str | None = None
    class_weight: float | str | None = None
    cost_miss: float = 1.0
    cost_false_alarm: float = 1.0
    aim: str = ""
    capacity: float | None = None
    min_roc_auc: float | None = None
    near_perfect: str = ""
    metric: str = ROC_AUC
    max_latency_ms: float | None = None
    horizon_days: float | None = None
    control_share: float | None = None
    retention_days: float | None = None
    pseudonymised_columns: tuple[str, ...] = ()
    monotone: Mapping[str, str] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    help: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Scope:
        """Return the scope of a parsed TOML file, or of the flat form of `to_dict`.

        Raises `Refused` naming every unknown key, with the nearest known one, and every wrong
        value.
        """
        if UNREADABLE in values:
            raise _unreadable("scope", values[UNREADABLE])
        flat, problems = _flatten(values)
        checked: dict[str, Any] = {}
        for name, value in flat.items():
            if value is None:
                continue
            try:
                checked[name] = _read(name, value)
            except ValueError as expected:
                found, action = repr(value), "correct the scope"
                problems.append(problem("scope-wrong-value", name, found, str(expected), action))
        if problems:
            raise Refused(_REFUSED, problems)
        return cls(**checked)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON-ready form that `from_dict` reads."""
        return asdict(self)

    @property
    def group(self) -> str | None:
        """The column of which rows stay together, None where there is none."""
        return None if self.group_column == NO_GROUP else self.group_column

    @property
    def problem(self) -> str:
        """The name under which the journal keeps this problem."""
        return problem_name(vars(self))

    def override(self, **values: Any) -> Scope:
        """Return a copy with every given value that is neither None nor empty."""
        given = {name: value for name, value in values.items() if value not in (None, "", ())}
        return replace(self, **given)


# Key of the section [columns] -> attribute of Scope.
COLUMN_KEYS = {
    "group": "group_column",
    "time": "time_column",
    "reference": "reference_column",
    "optional": "optional_columns",
    "weight": "weight_column",
    "monotone": "monotone",
    "id": "id_columns",
    "drop": "drop_columns",
    "protected": "protected_columns",
    "changeable": "changeable_columns",
    "known": "known_columns",
    "kinds": "kinds",
    "formats": "formats",
    "missing": "missing_in",
    "keep": "kept_in",
    "units": "units",
    "help": "help",
}
# Section of a TOML file -> {key in the section: attribute of Scope}; "" is the top level.
_SECTIONS: dict[str, dict[str, str]] = {
    "": {key: key for key in ("title", "question", "data", "query", "truth")},
    "target": {
        "column": "target",
        "positive": "positive",
        "empty": "empty_label",
        "class_weight": "class_weight",
        "positive_phrase": "positive_phrase",
        "negative_phrase": "negative_phrase",
        "horizon": "horizon_days",
    },
    "columns": COLUMN_KEYS,
    "missing": {"texts": "missing_texts", "keep": "kept_texts"},
    "costs": {
        "miss": "cost_miss",
        "false_alarm": "cost_false_alarm",
        "aim": "aim",
        "capacity": "capacity",
    },
    "success": {
        "metric": "metric",
        "roc_auc": "min_roc_auc",
        "near_perfect": "near_perfect",
        "latency_ms": "max_latency_ms",
    },
    "monitoring": {"control_share": "control_share"},
    "journal": {"retention_days": "retention_days", "pseudonymised": "pseudonymised_columns"},
}
_ANNOTATIONS = {f.name: str(f.type) for f in fields(Scope)}


def loads(text: str) -> dict[str, Any]:
    """Return the values of a TOML text, or of the JSON of a run's own scope.

    A broken text gives {UNREADABLE: why}, which `Scope.from_dict` refuses: for callers that would
    show a person a traceback instead, such as Metaflow's `Config(parser=...)`.
    """
    try:
        if text.lstrip().startswith("{"):
            values: dict[str, Any] = json.loads(text)
            return values
        return tomllib.loads(text)
    except ValueError as error:
        return {UNREADABLE: str(error)}


def read_scope(path: str | Path) -> Scope:
    """Return the scope of a TOML file; `data` in it is relative to that file.

    Raises `Refused` as `Scope.from_dict` does, and where the file cannot be read.
    """
    path = Path(path)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise refusal(
            _REFUSED,
            code="scope-missing",
            subject=str(path),
            found="no such file",
            expected="a TOML file",
            action="correct the path",
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _unreadable(str(path), error) from None
    return locate_data(Scope.from_dict(values), path.parent)


def locate_data(scope: Scope, folder: Path) -> Scope:
    """Return the scope with an absolute path as `data`; relative ones start at `folder`."""
    if not scope.data or "://" in scope.data:
        return scope
    path = Path(scope.data)
    with contextlib.suppress(RuntimeError):  # a file that is called ~something
        path = path.expanduser()
    return replace(scope, data=str(folder.resolve() / path))


def problem_name(scope: Mapping[str, Any]) -> str:
    """Return the name under which predictions, labels and promotions are kept.

    It is made of the title of the scope (as `Scope.to_dict`), or else of its target.

    >>> problem_name({"title": "Bank churn", "target": "churned"})
    'bank-churn'
    >>> problem_name({"title": "", "target": "Y/N"})
    'y-n'
    """
    title = str(scope.get("title") or scope.get("target") or "")
    words = re.findall(r"[^\W_]+", title.lower())
    return "-".join(words)[:100] or "problem"


def _flatten(values: Mapping[str, Any]) -> tuple[dict[str, Any], list[Finding]]:
    """Return (the values by attribute, a finding for each unknown key)."""
    flat: dict[str, Any] = {}
    problems: list[Finding] = []
    for key, value in values.items():
        if isinstance(value, Mapping) and key in _SECTIONS:
            section = _SECTIONS[key]
            for inner, inner_value in value.items():
                if inner in section:
                    flat[section[inner]] = inner_value
                else:
                    problems.append(_unknown_key(f"{key}.{inner}", [f"{key}.{k}" for k in section]))
        elif key in _ANNOTATIONS:
            flat[key] = value
        else:
            sections = [f"[{name}]" for name in _SECTIONS if name]
            problems.append(_unknown_key(key, [*_SECTIONS[""], *sections]))
    return flat, problems


def _read(name: str, value: Any) -> Any:
    """Return a value in the type of its attribute.

    Raises ValueError, whose text is what the attribute should hold.
    """
    annotation = _ANNOTATIONS[name]
    if name in ("missing_in", "kept_in"):
        if not isinstance(value, Mapping):
            raise ValueError("a table of lists of texts")
        return {column: _texts(cells) for column, cells in value.items()}
    if name in ("missing_texts", "kept_texts"):
        return _texts(value)
    if "tuple" in annotation:
        if not isinstance(value, (list, tuple)) or not all(isinstance(v, str) for v in value):
            raise ValueError("a list of column names")
        return tuple(value)
    if "Mapping" in annotation:
        if not isinstance(value, Mapping):
            raise ValueError("a table of texts")
        if name == "kinds" and any(kind not in KINDS for kind in value.values()):
            raise ValueError(f"one of {KINDS} for each column")
        if name == "formats":
            _check_formats(value)
        if name == "monotone" and any(way not in DIRECTIONS for way in value.values()):
            raise ValueError(f"one of {DIRECTIONS} for each column")
        return dict(value)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if name == "class_weight" and (value == BALANCED or (is_number and value > 0)):
        return value if value == BALANCED else float(value)
    if name == "class_weight":
        raise ValueError(f"{BALANCED!r} or a number above 0")
    if "float" in annotation:
        if not is_number or not math.isfinite(value) or value < 0:
            raise ValueError("a number, zero or more")
        if name in ("capacity", "min_roc_auc") and not 0 < value <= 1:
            raise ValueError("a number above 0 and at most 1")
        if name == "horizon_days" and not value:
            raise ValueError("a number of days above 0")
        if name == "control_share" and not 0 < value <= 0.5:
            raise ValueError("a number above 0 and at most 0.5")
        return float(value)
    if name == "aim" and value and not (isinstance(value, str) and AIM.fullmatch(value)):
        raise ValueError('"f1", "balanced accuracy" or a recall such as "recall 0.8"')
    if name == "metric" and value not in METRICS:
        raise ValueError(f"one of {METRICS}")
    is_label = name in ("positive", "empty_label") and isinstance(value, (bool, int, float))
    if not is_label and not isinstance(value, str):
        raise ValueError("a text")
    return str(value)


def _check_formats(formats: Mapping[str, Any]) -> None:
    for form in formats.values():
        try:
            datetime.strptime("", str(form))
        except ValueError as error:
            if "match" not in str(error):  # not what any text but a date gives
                raise ValueError(f"formats of strptime, such as %d/%m/%Y ({error})") from None


def _texts(value: Any) -> tuple[str, ...]:
    """Return a list of texts, some of them perhaps written as numbers."""
    are_plain = (str, int, float)
    if not isinstance(value, (list, tuple)) or not all(isinstance(v, are_plain) for v in value):
        raise ValueError('a list of texts, such as ["-999", "unknown"]')
    return tuple(str(cell).strip() for cell in value)


def _unknown_key(key: str, known: list[str]) -> Finding:
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {near[0]}?" if near else "known here: " + ", ".join(known)
    found = f"the unknown key {key!r}"
    return problem("scope-unknown-key", key, found, "a known key", action=hint)


def _unreadable(subject: str, why: object) -> Refused:
    expected, action = "valid TOML in UTF-8", "correct the file"
    return refusal(_REFUSED, "scope-unreadable", subject, str(why), expected, action)

"""The bytes of a request as rows of plain values, or a refusal in words.

JSON is read strictly (RFC 8259): no NaN or Infinity, no key twice in one object, UTF-8 only,
numbers that a float can hold, texts that are Unicode (no half of a surrogate pair). MLflow's own
request forms become the same rows.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from itertools import islice
from typing import Any

from fivefold.core.findings import Refused, errors, problem, refusal, refuse_errors
from fivefold.data.reading.csv_files import DELIMITERS, read_csv
from fivefold.data.reading.files import Content
from fivefold.data.reading.formats import detect_format
from fivefold.data.reading.read_log import ReadLog

Row = dict[str, Any]
MAX_FINDINGS = 100
MAX_COLUMNS = 10_000  # names in a header
MAX_PARTS = 250_000  # lists and objects of a request
MAX_MEMBERS = 100_000  # values of one of them
MAX_DIGITS = 400  # characters of a number
SAMPLE = 1 << 18  # characters of a CSV text in which the header ends
MLFLOW_KEYS = ("dataframe_records", "dataframe_split", "instances", "inputs")
MLFLOW_FORMS = (
    '{"dataframe_records": [{column: value}]}, '
    '{"dataframe_split": {"columns": [...], "data": [[...]]}}, '
    '{"instances": [{column: value}]} or {"inputs": {column: [values]}}'
)
_REFUSED = "The request cannot be used"
_CSV = "comma-separated UTF-8 text with a header"
_HALF = re.compile(r"\\u[dD][89a-fA-F]")  # an escape that may be half of a character
_JSON_TYPES = {
    dict: "an object",
    list: "a list",
    str: "a text",
    bool: "true or false",
    type(None): "null",
}


def bad_request(
    found: str,
    expected: str,
    action: str = "correct the request",
    *,
    field: str = "body",
    code: str = "request-unreadable",
) -> Refused:
    """Return the error to raise for a request with one problem."""
    return refusal(_REFUSED, code, field, found, expected, action)


def parse(body: bytes) -> Any:
    """Return the JSON value of a request body. Raises `Refused`."""
    if not body.strip():
        raise bad_request("an empty body", "JSON")
    _check_shape(body)
    try:
        text = body.decode("utf-8-sig")
        value = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_constant,
            parse_float=_float,
            parse_int=_int,
        )
        if _HALF.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        found = f"byte {body[error.start]:#04x} at position {error.start}, which is not UTF-8"
        raise bad_request(found, "UTF-8 text") from None
    except json.JSONDecodeError as error:
        found = f"{error.msg.lower()} at line {error.lineno}, column {error.colno}"
        raise bad_request(found, "valid JSON") from None
    except UnicodeEncodeError as error:
        found = f"the escape \\u{ord(error.object[error.start]):04x} without its other half"
        raise bad_request(found, "Unicode text", code="text-no-unicode") from None
    except RecursionError:
        raise bad_request("values nested too deeply", "rows of plain values") from None
    return value


def _check_shape(body: bytes) -> None:
    """Raise `Refused` for JSON of so many parts that to read it would stop all other requests.

    Commas and brackets within texts count too: the limits are far above those of real rows.
    """
    parts = body.replace(b"]", b"}").split(b"}", MAX_PARTS + 1)
    if len(parts) > MAX_PARTS:
        found, expected = f"more than {MAX_PARTS:,} lists and objects", "rows of plain values"
        raise bad_request(found, expected, "send several requests", code="too-many-values")
    if max(part.count(b",") for part in parts) > MAX_MEMBERS:
        found = f"a row or list of more than {MAX_MEMBERS:,} values"
        raise bad_request(found, f"at most {MAX_MEMBERS:,}", code="too-many-values")


def rows_of(value: Any, limit: int) -> list[Row]:
    """Return the rows of a /predict request: {"rows": [...]}, a list of rows, or one row.

    Raises `Refused`.
    """
    if isinstance(value, Mapping):
        value = value["rows"] if set(value) == {"rows"} else [value]
    return _checked(value, limit, '{"rows": [{column: value}]}')


def invocation_rows(value: Any, limit: int) -> list[Row]:
    """Return the rows of an MLflow /invocations request. Raises `Refused`."""
    if not isinstance(value, Mapping):
        raise bad_request(json_type(value), MLFLOW_FORMS)
    known = [key for key in MLFLOW_KEYS if key in value]
    if len(known) != 1:
        found = f"the keys {sorted(map(str, value))[:10]}"[:300]
        raise bad_request(found, f"one of {MLFLOW_FORMS}")
    content = value[known[0]]
    if known[0] == "dataframe_split":
        content = _rows_of_split(content, limit)
    elif known[0] == "inputs" and isinstance(content, Mapping):
        content = _rows_of_columns(content, limit)
    return _checked(content, limit, MLFLOW_FORMS)


def csv_rows(body: bytes, limit: int) -> list[Row]:
    """Return the rows of a text/csv request with a header; empty cells are missing.

    It is read as a file is, and refused in the same words, but UTF-8 only. Raises `Refused`.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise bad_request(str(error)[:200], _CSV) from None
    _check_width(text)
    content, log = Content("body", len(body), data=body, whole=False), ReadLog()
    if detect_format(content).name != "csv":  # it refuses web pages and so on itself
        found, expected = "JSON or another format", "a table as CSV"
        raise bad_request(found, expected, code="not-csv")
    try:
        rows: list[Row] = []
        for table in read_csv(content, log):
            check_row_count(len(rows) + table.num_rows, limit)
            rows += table.to_pylist()
    except Refused as refused:
        problems = errors(refused.findings)
        is_one = [finding.code for finding in problems] == ["one-column"]
        cells = _one_column(text, limit) if is_one else []
        if cells:
            return cells
        raise Refused("The body cannot be read", problems[:MAX_FINDINGS]) from None
    return _checked([{n: cell or None for n, cell in row.items()} for row in rows], limit, "rows")


def _check_width(text: str) -> None:
    """Raise `Refused` for more columns than a reader can take in a moment."""
    for delimiter in DELIMITERS:
        with contextlib.suppress(csv.Error):
            lines = csv.reader(io.StringIO(text[:SAMPLE], newline=""), delimiter=delimiter)
            width = len(next(lines, []))
            if width > MAX_COLUMNS:
                found, expected = f"more than {MAX_COLUMNS:,} columns", f"at most {MAX_COLUMNS:,}"
                raise bad_request(found, expected, code="too-many-columns")


def _one_column(text: str, limit: int) -> list[Row]:
    """Return the rows of a text of one column, which a file never has; none for another text."""
    try:
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        lines = list(islice(filter(None, reader), limit + 2))
    except csv.Error as error:
        raise bad_request(str(error)[:200], _CSV) from None
    if any(len(line) != 1 for line in lines):
        return []
    check_row_count(len(lines) - 1, limit)
    (name,), *cells = lines
    return [{name.strip(): cell or None} for (cell,) in cells]


def is_true(text: str, name: str) -> bool:
    """Return a yes or no of an address. Raises `Refused`."""
    known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if text.lower() not in known:
        raise bad_request(repr(text)[:80], "true or false", "correct the address", field=name)
    return known[text.lower()]


def check_row_count(rows: int, limit: int) -> None:
    """Raise `Refused` for more rows than one request may hold."""
    if rows > limit:
        raise bad_request(
            f"{rows:,} rows",
            f"at most {limit:,} in one request",
            "send several requests, or score the file with flows/score.py",
            code="too-many-rows",
        )


def json_type(value: Any) -> str:
    """Say what a JSON value is."""
    return _JSON_TYPES.get(type(value), "a number")


def _rows_of_split(content: Any, limit: int) -> list[Row]:
    split = content if isinstance(content, Mapping) else {}
    columns, data = split.get("columns"), split.get("data")
    if not isinstance(data, list) or not isinstance(columns, list) or not _are_names(columns):
        expected = "columns (different texts) and data (a list of rows)"
        raise bad_request(json_type(content), expected, field="dataframe_split")
    return _rows_of_cells(columns, data, limit)


def _rows_of_cells(columns: list[str], rows: list[Any], limit: int) -> list[Row]:
    check_row_count(len(rows), limit)
    for number, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(columns):
            expected = f"{len(columns)} cells, one for each column"
            raise bad_request("another number of cells", expected, field=f"rows[{number}]")
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _are_names(columns: list[Any]) -> bool:
    """Whether all are texts, and all are different."""
    return all(isinstance(name, str) for name in columns) and len(set(columns)) == len(columns)


def _rows_of_columns(columns: Mapping[str, Any], limit: int) -> list[Row]:
    lists = [values if isinstance(values, list) else [values] for values in columns.values()]
    try:
        rows = [list(row) for row in zip(*lists, strict=True)]
    except ValueError:
        found, expected = "columns of different lengths", "one length for all columns"
        raise bad_request(found, expected, field="inputs") from None
    return _rows_of_cells(list(columns), rows, limit)


def _checked(value: Any, limit: int, forms: str) -> list[Row]:
    """Return the value if it is a list of objects. Raises `Refused`."""
    if not isinstance(value, list) or not value:
        raise bad_request("an empty list" if value == [] else json_type(value), forms)
    check_row_count(len(value), limit)
    problems = []
    for number, row in enumerate(value):
        if not isinstance(row, Mapping):
            field, expected = f"rows[{number}]", "an object {column: value}"
            found, action = json_type(row), "correct the row"
            problems.append(problem("row-no-object", field, found, expected, action))
    refuse_errors(_REFUSED, problems[:MAX_FINDINGS])
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object of the pairs. Raises `Refused` where a key comes twice."""
    members = dict(pairs)
    if len(members) != len(pairs):
        name = Counter(name for name, _ in pairs).most_common(1)[0][0]
        shown = name[:80].encode("utf-8", "replace").decode()  # short, and Unicode whatever it is
        found = f"the key {shown!r} twice in one object"
        raise bad_request(found, "each key once", field=shown, code="key-repeated")
    return members


def _constant(word: str) -> Any:
    expected = "a finite number, or null for an unknown value"
    raise bad_request(word, expected, code="number-not-finite")


def _float(text: str) -> float:
    if len(text) > MAX_DIGITS and not text.lstrip("-").isdecimal():
        found, expected = f"a number of {len(text):,} characters", f"at most {MAX_DIGITS}"
        raise bad_request(found, expected, code="number-too-large")
    value = math.inf if len(text) > MAX_DIGITS else float(text)
    if not math.isfinite(value):
        found = f"the number {text[:40]}"
        raise bad_request(found, "a number below 1.8e308", code="number-too-large")
    return value


def _int(text: str) -> int:
    """Return the whole number with every digit: long ones are mostly ids."""
    _float(text)
    return int(text)

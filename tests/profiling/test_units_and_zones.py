"""Several units or zones in one column are named; one is quiet; how numbers were read is said."""

import pandas as pd

from fivefold.core.scope import Scope
from fivefold.data.infer import infer_schema
from fivefold.data.target import Target
from fivefold.profiling.check_context import CheckContext
from fivefold.profiling.checks import check_table


def found(cells, code):
    """Return the severity and text of the findings of one check on a column `x`."""
    frame = pd.DataFrame({"x": cells, "y": [0, 1] * (len(cells) // 2)})
    scope = Scope(target="y")
    target = Target(frame["y"].to_numpy("int8"), "0", "1")
    context = CheckContext.of(frame, scope, infer_schema(frame, scope), target)
    findings = [f for f in check_table(context) if f.code == code and f.subject == "x"]
    return [(finding.severity, finding.found) for finding in findings]


TENS = range(10, 50)


def test_mixed_units_are_asked_about():
    cells = [f"{n} {unit}" for n in TENS for unit in ("kg", "lbs")] * 2
    [(severity, text)] = found(cells, "mixed-units")
    assert severity == "warning"
    assert "kg (80), lb (80)" in text
    [(severity, text)] = found([f"{sign}{n}" for n in TENS for sign in "$\u20ac"], "mixed-units")
    assert "$ (40), \u20ac (40)" in text
    assert "read as numbers" in text


def test_one_unit_is_quiet_and_said():
    cells = [f"{n} kg" for n in TENS] * 2
    assert found(cells, "mixed-units") == []
    [(severity, text)] = found(cells, "written-numbers")
    assert severity == "passed"
    assert text == "'10 kg' read as 10 (decimal '.', unit 'kg')"
    [(_, text)] = found([f"1:{n}:00" for n in TENS], "written-numbers")
    assert text == "'1:10:00' read as 4200 (times in seconds)"


def test_times_with_and_without_a_zone_are_named():
    naive = [f"2024-01-{n} 10:00:00" for n in range(10, 30)]
    [(severity, text)] = found([*naive, *(f"{cell}+02:00" for cell in naive)], "mixed-zones")
    assert severity == "warning"
    assert "20 times with a zone and 20 without; those without count as UTC" in text
    assert found(naive, "mixed-zones") == []
    assert found([f"{cell}Z" for cell in naive], "mixed-zones") == []


def test_words_among_numbers_name_the_remedy_that_works():
    cells = [*(str(n) for n in range(80)), *["refused", "unclear"] * 10]
    [(severity, _)] = found(cells, "mixed-types")
    assert severity == "warning"
    frame = pd.DataFrame({"x": cells})
    scope = Scope(kinds={"x": "numeric"})
    column = infer_schema(frame, scope)["x"]
    assert (column.kind, column.high, column.odd_cells) == ("numeric", 79, True)


def test_a_large_number_is_not_called_infinity():
    [(_, text)] = found([1e300, *map(float, range(39))], "infinite-values")
    assert "1e+300" in text
    [(_, text)] = found([float("inf"), *map(float, range(39))], "infinite-values")
    assert text == "infinity in 1 cells"

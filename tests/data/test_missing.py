"""What is missing, by file, CSV request, JSON and in a file of one row: the contract decides."""

import json

import numpy as np
import pandas as pd
import pytest

from fivefold.core.findings import Refused
from fivefold.core.schema import Column, Schema
from fivefold.core.scope import Scope
from fivefold.data.coerce import coerce_column, coerce_table
from fivefold.data.infer import infer_column, infer_schema
from fivefold.data.missing_markers import NO_RULES, is_missing, rules_for, rules_of
from fivefold.data.reading.source import read
from fivefold.data.reading.table_parts import cut_table, read_part
from fivefold.data.target import read_target
from fivefold.serving import json_rows, request
from fivefold.training.intake import with_categories

TABLE = """size,city,pay,code,flag,y
1,Bern,"1,200",10,yes,0
2,NA,"2,500",?,no,1
?,Rome,?,20,yes,0
4,Oslo,"1,800",30,no,1
N/A,Bern,"3,000",10,,0
"""


def trained(tmp_path, scope, text=TABLE):
    path = tmp_path / "train.csv"
    path.write_text(text)
    return infer_schema(read(path, rules=rules_of(scope)).frame, scope)


def cells_by_every_way(tmp_path, schema, scope, row):
    """Return the typed cells of one row from a file, a file in parts, a CSV request and JSON."""
    names = list(row)
    body = ",".join(names) + "\n" + ",".join(f'"{row[name]}"' for name in names) + "\n"
    path = tmp_path / "one.csv"
    path.write_text(body)
    rules = rules_for(schema, scope)
    parts, _ = cut_table(
        str(path), None, tmp_path / f"parts-{len(list(tmp_path.iterdir()))}", 5, rules
    )
    frames = [
        read(path, rules=rules).frame,
        read_part(parts, 0),
        json_rows.table_of(request.csv_rows(body.encode(), 9), schema)[0],
        json_rows.table_of(request.rows_of(request.parse(json.dumps(row).encode()), 9), schema)[0],
    ]
    return [coerce_table(frame, schema) for frame in frames]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [1.0, "Bern", 1200.0, "10", 1.0]),
        ({"size": "?", "pay": "N/A"}, [None, "Bern", None, "10", 1.0]),
        ({"size": "", "city": "NA", "flag": ""}, [None, None, 1200.0, "10", None]),
        ({"code": "?", "city": "?"}, [1.0, "?", 1200.0, None, 1.0]),
        ({"size": "-999", "city": "unknown"}, [None, None, 1200.0, "10", 1.0]),
        ({"pay": "2.500", "flag": "NaN"}, [1.0, "Bern", 2.5, "10", None]),
        ({"pay": "much", "code": "10"}, [1.0, "Bern", None, "10", 1.0]),
    ],
)
def test_a_row_is_read_alike_whatever_brings_it(tmp_path, changes, expected):
    scope = Scope(
        target="y",
        kinds={"code": "categorical"},
        missing_in={"size": ("-999",), "city": ("unknown",)},
    )
    schema = trained(tmp_path, scope)
    row = {"size": "1", "city": "Bern", "pay": "1,200", "code": "10", "flag": "yes"} | changes
    ways = cells_by_every_way(tmp_path, schema, scope, row)
    for typed, problems in ways:
        assert [None if pd.isna(v) else v for v in typed.iloc[0]] == expected
        assert problems["value"].tolist() == (["much"] if row["pay"] == "much" else [])


def test_the_contract_keeps_what_its_table_said(tmp_path):
    schema = trained(tmp_path, Scope(target="y"))
    assert [c.kind for c in schema.columns][:3] == ["numeric", "categorical", "numeric"]
    assert [c.nullable for c in schema.columns] == [True] * 5
    assert [c.as_text for c in schema.columns] == [False, True, True, False, True]
    assert schema["pay"].odd_cells is False  # "?" among numbers is a gap, not an odd cell
    assert Schema.from_json(schema.to_json()) == schema


def test_a_usual_word_can_be_kept_as_a_level(tmp_path):
    scope = Scope(target="y", kept_in={"city": ("NA",)})
    schema = trained(tmp_path, scope)
    assert schema["city"].levels == ("Bern", "NA", "Oslo", "Rome")
    row = {"size": "1", "city": "NA", "pay": "1,200", "code": "10", "flag": "yes"}
    for typed, _ in cells_by_every_way(tmp_path, schema, scope, row):
        assert typed["city"].tolist() == ["NA"]
    everywhere = Scope(target="y", kept_texts=("NA",))
    assert "NA" in trained(tmp_path, everywhere)["city"].levels


def test_numbers_that_mean_missing_are_so_in_any_spelling():
    scope = Scope(missing_texts=("-999",), missing_in={"b": ("99",)})
    for values in ([-999, 1, 2, 99], [-999.0, 1.0, 2.0, 99.0], ["-999", "1", "2", "99"]):
        a, b = (
            infer_column(pd.Series(values), "a", scope),
            infer_column(pd.Series(values), "b", scope),
        )
        assert (a.low, a.high, a.nullable) == (1, 99, True)
        assert (b.low, b.high, b.missing) == (1, 2, ("-999", "99"))
        assert np.isnan(coerce_column(pd.Series(["-999.0"]), b)[0]).all()


def test_a_placeholder_date_can_be_missing():
    days = pd.Series(["1900-01-01", "2024-05-01", "2024-05-02"])
    scope = Scope(missing_in={"d": ("1900-01-01",)})
    for values in (days, pd.to_datetime(days)):
        column = infer_column(values, "d", scope)
        typed, problems = coerce_column(values, column)
        assert (pd.isna(typed).tolist(), problems) == ([True, False, False], [])
        assert column.nullable


def test_without_a_word_of_the_scope_nothing_else_is_missing():
    assert is_missing("NULL", Column("x", "text", as_text=True))
    assert not is_missing("unknown", Column("x", "categorical", as_text=True))
    assert is_missing("unknown", Column("x", "numeric", as_text=True))
    assert not is_missing("?", Column("x", "categorical", levels=("?", "a")))  # of older models
    assert NO_RULES.markers("x") == rules_of(Scope()).markers("x")


def test_the_scope_reads_its_new_keys():
    scope = Scope.from_dict(
        {
            "missing": {"texts": [-999, "99"], "keep": ["NA"]},
            "target": {"column": "y", "empty": 0},
            "columns": {
                "missing": {"pay": ["-1"]},
                "keep": {"city": ["None"]},
                "formats": {"day": "%d|%m|%Y"},
            },
        }
    )
    assert (scope.missing_texts, scope.kept_texts) == (("-999", "99"), ("NA",))
    assert (scope.missing_in, scope.kept_in) == ({"pay": ("-1",)}, {"city": ("None",)})
    assert (scope.empty_label, scope.formats) == ("0", {"day": "%d|%m|%Y"})
    assert Scope.from_dict(scope.to_dict()) == scope
    wrongs = {"formats": {"day": "%Q"}}, {"missing": {"pay": "-1"}}, {"keep": ["NA"]}
    for wrong, says in zip(
        wrongs, ("formats of strptime", "list of texts", "a table"), strict=True
    ):
        with pytest.raises(Refused, match=says):
            Scope.from_dict({"columns": wrong})


def test_a_label_that_reads_as_missing_can_be_kept(tmp_path):
    (tmp_path / "t.csv").write_text("x,y\n1,NA\n2,EU\n3,NA\n4,EU\n")
    scope = Scope(target="y", positive="EU")
    target, findings = read_target(read(tmp_path / "t.csv", rules=rules_of(scope)).frame, scope)
    assert target is None
    assert '[columns.keep] y = ["NA"]' in findings[-1].action
    kept = Scope(target="y", positive="EU", kept_in={"y": ("NA",)})
    target, _ = read_target(read(tmp_path / "t.csv", rules=rules_of(kept)).frame, kept)
    assert (target.negative, target.y.tolist()) == ("NA", [0, 1, 0, 1])


def test_declared_integer_categories_of_a_typed_file_stay_categories(tmp_path):
    codes = pd.DataFrame({"shop": [3, 1, 2, 3] * 5, "size": range(20)})
    categories = codes.astype({"shop": "category"})
    categories.to_parquet(tmp_path / "t.parquet")
    categories.to_feather(tmp_path / "t.feather")
    for name in ("t.parquet", "t.feather"):
        dataset = read(tmp_path / name)
        assert dataset.details.categories == ["shop"]
        assert with_categories(Scope(), dataset).kinds == {"shop": "categorical"}
    mine = Scope(kinds={"shop": "numeric"})
    assert with_categories(mine, dataset).kinds == {"shop": "numeric"}
    ordered = pd.CategoricalDtype([1, 2, 3], ordered=True)
    for plain in (codes, codes.astype({"shop": ordered})):
        plain.to_parquet(tmp_path / "plain.parquet")
        assert read(tmp_path / "plain.parquet").details.categories is None

"""The scope: read from TOML, overridden by options, refused with every fault named."""

import json

import pytest

from fivefold.core.findings import Refused
from fivefold.core.scope import Scope, read_scope

TOML = """
title = "Churn"
data = "churn.csv"
[target]
column = "Exited"
positive = 1
[columns]
id = ["CustomerId"]
known = ["Balance"]
time = "since"
kinds = {zip = "categorical"}
[costs]
miss = 5
capacity = 0.2
[success]
roc_auc = 0.8
"""


def test_a_scope_is_read_from_toml(tmp_path):
    (tmp_path / "s.toml").write_text(TOML)
    scope = read_scope(tmp_path / "s.toml")
    assert scope == Scope(
        target="Exited",
        positive="1",
        title="Churn",
        data=str(tmp_path / "churn.csv"),
        id_columns=("CustomerId",),
        known_columns=("Balance",),
        time_column="since",
        cost_miss=5.0,
        capacity=0.2,
        min_roc_auc=0.8,
        kinds={"zip": "categorical"},
    )
    assert Scope.from_dict(json.loads(json.dumps(scope.to_dict()))) == scope


@pytest.mark.parametrize("data", ["https://host/x.csv", "/abs/x.csv", ""])
def test_addresses_and_absolute_paths_stay(tmp_path, data):
    (tmp_path / "s.toml").write_text(f"data = '{data}'")
    assert read_scope(tmp_path / "s.toml").data == data


def test_a_scope_that_is_absent_or_broken_is_refused(tmp_path):
    with pytest.raises(Refused, match=r"scope-missing .*no such file"):
        read_scope(tmp_path / "none.toml")
    (tmp_path / "s.toml").write_text("[target\n")
    with pytest.raises(Refused, match="scope-unreadable"):
        read_scope(tmp_path / "s.toml")


def test_unknown_keys_are_all_named_with_the_nearest():
    with pytest.raises(Refused, match="3 problems") as caught:
        Scope.from_dict({"titel": "x", "columns": {"ids": []}, "target": {"colum": "y"}})
    actions = {f.subject: f.action for f in caught.value.findings}
    assert actions == {
        "titel": "did you mean title?",
        "columns.ids": "did you mean columns.id?",
        "target.colum": "did you mean target.column?",
    }


@pytest.mark.parametrize(
    ("values", "subject"),
    [
        ({"columns": {"id": "a"}}, "id_columns"),
        ({"columns": {"drop": [1]}}, "drop_columns"),
        ({"title": 3}, "title"),
        ({"columns": {"kinds": {"a": "number"}}}, "kinds"),
        ({"columns": {"kinds": ["a"]}}, "kinds"),
        ({"costs": {"miss": "x"}}, "cost_miss"),
        ({"costs": {"miss": -1}}, "cost_miss"),
        ({"costs": {"miss": True}}, "cost_miss"),
        ({"costs": {"miss": float("nan")}}, "cost_miss"),
        ({"costs": {"capacity": 0}}, "capacity"),
        ({"success": {"roc_auc": 1.5}}, "min_roc_auc"),
        ({"success": {"near_perfect": True}}, "near_perfect"),
        ({"costs": {"aim": "F1"}}, "aim"),
        ({"costs": {"aim": "recall 80%"}}, "aim"),
        ({"costs": {"aim": "recall 0"}}, "aim"),
        ({"costs": {"aim": "recall 1.2"}}, "aim"),
    ],
)
def test_values_of_a_wrong_type_are_refused(values, subject):
    with pytest.raises(Refused, match=rf"scope-wrong-value \[{subject}\]"):
        Scope.from_dict(values)


@pytest.mark.parametrize(
    "aim", ["", "f1", "balanced accuracy", "recall 0.8", "recall .05", "recall 1"]
)
def test_aims_of_a_threshold(aim):
    assert Scope.from_dict({"costs": {"aim": aim}}).aim == aim


def test_override_keeps_what_is_not_given():
    scope = Scope(target="y", id_columns=("a",), cost_miss=5.0)
    assert scope.override(target=None, id_columns=(), title="t", cost_false_alarm=0.0) == Scope(
        target="y", id_columns=("a",), cost_miss=5.0, title="t", cost_false_alarm=0.0
    )

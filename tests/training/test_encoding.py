"""Features of each kind of column: learnt from training rows only, by stock parts only."""

import io
import json
import zipfile
from functools import cache

import numpy as np
import pandas as pd
import pytest

from fivefold.core.schema import Column, Schema
from fivefold.core.scope import Scope
from fivefold.data.coerce import coerce_table
from fivefold.data.infer import infer_schema
from fivefold.model.inputs import MISSING, expand
from fivefold.training.encode_folds import encode_training
from fivefold.training.encoding import (
    CROSSED,
    LINEAR,
    MEANS,
    NATIVE,
    ONE_HOT,
    ORDERED,
    TREES,
    EncodingPlan,
    encoder,
    encodings,
    ordered_means,
    plan,
)
from tests.support.tables import SCOPE, prepared

BOOSTED = (ONE_HOT, MEANS, ORDERED)
STYLES = (LINEAR, TREES, NATIVE, ONE_HOT, MEANS, ORDERED)


def typed_of(frame, **kinds):
    """(typed table, schema) of plain columns."""
    schema = infer_schema(frame, SCOPE)
    assert all(schema[name].kind == kind for name, kind in kinds.items())
    return coerce_table(frame, schema)[0], schema


@cache
def fitted(style, rows=400):
    """(encoder fitted on training rows, matrix, types, typed, y, schema, recipe)."""
    typed, y, fold_ids, schema = prepared(rows)
    train = fold_ids >= 0
    encoded, encode = encode_training(style, typed[train], y[train], schema, seed=0)
    matrix, types = encoded.x, encoded.types
    return (
        encode,
        matrix,
        types,
        typed[train],
        y[train],
        schema,
        plan(expand(typed[train], schema), schema),
    )


def columns_of(encode, part):
    """The matrix columns of one part of the ColumnTransformer."""
    return range(*encode.output_indices_[part].indices(10**6))


# --- expand --------------------------------------------------------------------------------------


def test_dates_become_days_month_weekday_hour_and_distances():
    schema = Schema((Column("a", "date"), Column("b", "date")), "y", "0", "1")
    typed = pd.DataFrame(
        {
            "a": pd.to_datetime(["1970-01-02 12:00", "2024-02-29 00:00", None]).astype(
                "datetime64[us]"
            ),
            "b": pd.to_datetime(["1970-01-01", None, "2000-01-01"]).astype("datetime64[us]"),
        }
    )
    result = expand(typed, schema)
    assert result.columns.tolist() == [
        "a",
        "a (month)",
        "a (weekday)",
        "a (hour)",
        "b",
        "b (month)",
        "b (weekday)",
        "b (hour)",
        "a - b (days)",
    ]
    nan = np.nan
    np.testing.assert_array_equal(result["a"], [1.5, 19782, nan])
    np.testing.assert_array_equal(result["a (month)"], [1, 2, nan])
    np.testing.assert_array_equal(result["a (weekday)"], [4, 3, nan])  # a Friday and a Thursday
    np.testing.assert_array_equal(result["a (hour)"], [12, 0, nan])
    np.testing.assert_array_equal(result["a - b (days)"], [1.5, nan, nan])


@pytest.mark.parametrize(("dates", "distances"), [(1, 0), (2, 1), (3, 3), (4, 6), (5, 0)])
def test_two_to_four_dates_give_all_their_distances(dates, distances):
    schema = Schema(tuple(Column(f"d{i}", "date") for i in range(dates)), "y", "0", "1")
    typed = pd.DataFrame({f"d{i}": pd.to_datetime(["2020-01-01"]) for i in range(dates)})
    assert expand(typed, schema).columns.str.endswith("(days)").sum() == distances


def test_missing_categories_and_texts_are_texts_and_missing_numbers_stay_missing():
    schema = Schema(
        (
            Column("c", "categorical"),
            Column("t", "text"),
            Column("n", "numeric"),
            Column("i", "id", used=False),
        ),
        "y",
        "0",
        "1",
    )
    typed = pd.DataFrame(
        {
            "c": pd.Series(["x", None], dtype="str"),
            "t": pd.Series([None, "some words"], dtype="str"),
            "n": [np.nan, 1.0],
            "i": [1, 2],
        }
    ).set_axis([7, 9])
    result = expand(typed, schema)
    assert result["c"].tolist() == ["x", MISSING]
    assert result["t"].tolist() == ["", "some words"]
    assert np.isnan(result.loc[7, "n"])
    assert result.columns.tolist() == ["c", "t", "n"]
    assert result.index.tolist() == [7, 9]


# --- plan ----------------------------------------------------------------------------------------


def test_columns_are_sorted_into_their_encodings():
    _, _, _, _, _, _, recipe = fitted(TREES)
    assert recipe.numbers == [
        "amount",
        "age",
        "member",
        "since",
        "since (month)",
        "since (weekday)",
        "noise",
    ]
    assert (recipe.few_levels, recipe.many_levels, recipe.native) == (
        ["region"],
        ["shop"],
        ["region", "shop"],
    )
    assert (recipe.text, recipe.derived) == (
        ["note"],
        ["since (month)", "since (weekday)", "since (hour)"],
    )
    assert [d["column"] for d in recipe.dropped] == ["since (hour)"]
    stored = recipe.to_dict()
    assert json.loads(json.dumps(stored, allow_nan=False)) == stored


def test_twelve_levels_are_one_hot_and_sixty_four_are_native():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {f"c{k}": [f"v{i}" for i in rng.permutation(np.arange(650) % k)] for k in (12, 13, 64, 65)}
    )
    recipe = plan(*[(t := typed_of(frame))[0].pipe(expand, t[1]), t[1]])
    assert (recipe.few_levels, recipe.many_levels) == (["c12"], ["c13", "c64", "c65"])
    assert recipe.native == ["c12", "c13", "c64"]


def test_almost_constant_columns_are_dropped_with_the_share():
    rows = 4000
    frame = pd.DataFrame(
        {
            "good": np.random.default_rng(0).normal(size=rows),
            "one": np.zeros(rows),
            "three": np.zeros(rows),
            "gaps": np.nan,
            "level": "same",
        }
    )
    frame.loc[0, "one"] = frame.loc[1, "gaps"] = 1.5
    frame.loc[:2, "three"] = [1, 2, 3]  # 99.925% alike: kept
    frame.loc[3, "level"] = "other"
    schema = Schema(
        tuple(Column(c, "categorical" if c == "level" else "numeric") for c in frame), "y", "0", "1"
    )
    recipe = plan(expand(frame, schema), schema)
    assert recipe.numbers == ["good", "three"]
    why = "almost constant: 99.98% of the training rows are equal"
    assert recipe.dropped == [{"column": c, "why": why} for c in ("one", "gaps", "level")]


def test_copies_are_dropped_with_the_name_of_what_they_repeat():
    rng = np.random.default_rng(0)
    x, levels = rng.normal(size=500), rng.integers(0, 5, 500)
    frame = pd.DataFrame(
        {
            "euro": x,
            "cent": 100 * x,
            "minus": -x + 3,
            "other": rng.normal(size=500),
            "near": x + 0.05 * rng.normal(size=500),
            "name": [f"level {i}" for i in levels],
            "code": [f"k{9 - i}" for i in levels],
            "rough": [f"r{i // 2}" for i in levels],
        }
    )
    recipe = plan(*[(t := typed_of(frame))[0].pipe(expand, t[1]), t[1]])
    assert recipe.dropped == [
        {"column": "cent", "why": "same content as euro"},
        {"column": "minus", "why": "same content as euro"},
        {"column": "code", "why": "same content as name"},
    ]
    assert (recipe.numbers, recipe.few_levels) == (["euro", "other", "near"], ["name", "rough"])


def test_columns_with_gaps_in_other_rows_are_no_copies():
    x = np.random.default_rng(0).normal(size=500)
    frame = pd.DataFrame({"a": x, "same gaps": x, "b": x})
    frame.loc[:50, ["a", "same gaps"]] = np.nan
    schema = Schema(tuple(Column(c, "numeric") for c in frame), "y", "0", "1")
    assert plan(expand(frame, schema), schema).numbers == ["a", "b"]
    frame["a"] = frame["b"] = np.append(x[1:], x[1:].mean())
    frame.loc[499, "a"] = np.nan  # filled by the mean, it would be b to the last row
    assert plan(expand(frame, schema), schema).numbers == ["a", "same gaps", "b"]


def test_one_shared_outlier_does_not_make_two_columns_copies():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=500), "b": rng.normal(size=500)})
    frame.loc[17] = 999_999.0  # a code for "unknown" in both: their correlation is 0.99999...
    schema = Schema((Column("a", "numeric"), Column("b", "numeric")), "y", "0", "1")
    assert plan(expand(frame, schema), schema).numbers == ["a", "b"]


def test_unused_columns_are_listed_with_the_schemas_reason():
    schema = Schema(
        (Column("n", "numeric"), Column("who", "id", used=False, why="identifies rows")),
        "y",
        "0",
        "1",
    )
    recipe = plan(expand(pd.DataFrame({"n": [1.0, 2.0], "who": [1, 2]}), schema), schema)
    assert recipe.dropped == [{"column": "who", "why": "identifies rows"}]


# --- encoder -------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", STYLES)
def test_the_matrix_is_numeric_and_finite_where_the_style_needs_it(style):
    _, matrix, types, _, y, _, recipe = fitted(style)
    assert matrix.shape == (len(y), len(types))
    assert types.count("c") == (len(recipe.native) if style == NATIVE else 0)
    assert np.isfinite(matrix).all() == (
        style in (LINEAR, TREES)
    )  # boosted models take gaps as they are


def test_an_unknown_style_is_refused():
    with pytest.raises(
        ValueError,
        match="encoding: expected one of linear, trees, plain, native, one-hot, means, ordered, "
        "found 'round'",
    ):
        encoder(EncodingPlan([], [], [], [], [], [], []), "round", 0)


@pytest.mark.parametrize("style", STYLES)
def test_unseen_categories_and_gaps_are_encoded_at_serving(style):
    encode, _, types, typed, _, schema, recipe = fitted(style)
    row = typed.head(3).copy()
    row["region"], row["shop"], row["note"] = "atlantis", "no such shop", None
    row["since"] = pd.NaT
    row["since"] = row["since"].astype("datetime64[us]")
    row[["age", "member", "amount"]] = np.nan  # age, member and since had no gap in training
    matrix = encode.transform(expand(row, schema))
    assert matrix.shape == (3, len(types))
    if style == NATIVE:
        assert np.isnan(matrix[:, :2]).all()  # unseen codes are missing values
        numbers = list(columns_of(encode, "numbers"))
        assert np.isnan(matrix[:, numbers[:4]]).all()
        assert recipe.numbers[:4] == ["amount", "age", "member", "since"]
    elif style in BOOSTED:
        assert np.isnan(matrix[:, list(columns_of(encode, "numbers"))[:4]]).all()  # gaps stay gaps
        assert np.isfinite(matrix[:, list(columns_of(encode, "means"))]).all()
    else:
        assert np.isfinite(matrix).all()


@pytest.mark.parametrize(("style", "part"), [(LINEAR, "missing"), (TREES, "numbers")])
def test_a_gap_raises_its_indicator(style, part):
    encode, matrix, _, typed, _, _, recipe = fitted(style)
    extra = (
        list(columns_of(encode, part))[-1:] if style == TREES else list(columns_of(encode, part))
    )
    assert len(columns_of(encode, "numbers")) == (
        len(recipe.numbers) + 1 if style == TREES else 7 * len(recipe.numbers)
    )
    assert matrix[:, extra].ravel().tolist() == typed["amount"].isna().astype(float).tolist()
    assert 0 < typed["amount"].isna().sum() < len(typed)


def test_gaps_take_the_median_of_the_training_rows_in_the_tree_style():
    encode, matrix, _, typed, _, _, _ = fitted(TREES)
    first = columns_of(encode, "numbers")[0]
    assert set(matrix[typed["amount"].isna().to_numpy(), first]) == {typed["amount"].median()}


def test_one_hot_has_a_column_for_each_level_and_missing_is_a_level():
    encode, matrix, _, typed, _, schema, _ = fitted(TREES)
    block = matrix[:, list(columns_of(encode, "one_hot"))]
    levels = sorted(typed["region"].fillna(MISSING).unique())
    assert MISSING in levels
    assert (
        block == (typed["region"].fillna(MISSING).to_numpy()[:, None] == np.array(levels))
    ).all()
    unseen = typed.head(1).assign(region="atlantis")
    assert encode.transform(expand(unseen, schema))[
        :, list(columns_of(encode, "one_hot"))
    ].tolist() == [[0.0] * len(levels)]


@pytest.mark.parametrize("style", [LINEAR, TREES])
def test_target_means_are_cross_fitted(style):
    encode, matrix, _, typed, y, schema, _ = fitted(style)
    column = list(columns_of(encode, "means"))
    seen = encode.transform(expand(typed, schema))[:, column]
    assert (
        np.abs(matrix[:, column] - seen).max() > 0.01
    )  # the same rows, encoded by other rows' labels
    noise = np.random.default_rng(0).permutation(y)
    encoded, refit = encode_training(style, typed, noise, schema, seed=0)
    crossed = encoded.x
    leak = np.corrcoef(refit.transform(expand(typed, schema))[:, column[0]], noise)[0, 1]
    honest = np.corrcoef(crossed[:, next(iter(columns_of(refit, "means")))], noise)[0, 1]
    assert leak > 0.2  # 30 shops of 11 rows: their own means look like knowledge
    assert honest < 0.1


def test_splines_stay_finite_and_flat_outside_the_training_range():
    encode, _, _, typed, _, schema, _ = fitted(LINEAR)
    rows = typed.head(1).loc[lambda t: t.index.repeat(4)].copy()
    rows["age"] = [1e12, typed["age"].max(), typed["age"].min(), -1e12]
    matrix = encode.transform(expand(rows, schema))
    assert np.isfinite(matrix).all()
    assert (matrix[0] == matrix[1]).all()
    assert (matrix[2] == matrix[3]).all()
    assert (matrix[0] != matrix[2]).any()


def test_a_column_of_gaps_at_serving_and_an_empty_table_are_encoded():
    encode, _, _types, typed, _, schema, _ = fitted(LINEAR)
    rows = typed.head(2).copy()
    rows["amount"] = np.nan
    assert np.isfinite(encode.transform(expand(rows, schema))).all()


def test_texts_of_the_same_words_are_alike_and_empty_ones_are_zero():
    encode, _, _, typed, _, schema, _ = fitted(LINEAR)
    rows = typed.head(1).loc[lambda t: t.index.repeat(3)].copy()
    rows["note"] = ["late broken refund", "late broken refund", ""]
    topics = encode.transform(expand(rows, schema))[
        :, list(columns_of(encode, next(n for n in encode.output_indices_ if n.startswith("text"))))
    ]
    assert topics.shape == (3, 16)
    assert (topics[0] == topics[1]).all()
    assert np.abs(topics[0]).max() > 0.01
    assert np.abs(topics[2]).max() < 1e-9


def test_a_text_column_may_have_any_name():
    typed, y, _place, schema = prepared()
    named = Schema(
        tuple(Column("my__note", "text") if c.name == "note" else c for c in schema.columns),
        "left",
        "no",
        "yes",
    )
    encoded, _ = encode_training(TREES, typed.rename(columns={"note": "my__note"}), y, named, 0)
    matrix = encoded.x
    assert matrix.shape[0] == len(y)


def test_the_plan_and_the_encoding_depend_on_training_rows_only():
    typed, y, fold_ids, schema = prepared()
    train = fold_ids >= 0
    other, other_y = typed.copy(), y.copy()
    other.loc[~train, ["region", "shop", "note"]] = "corrupt"
    other.loc[~train, ["amount", "age", "noise"]] = 1e9
    other_y[~train] = 1 - other_y[~train]
    for style in STYLES:
        encoded, encode = encode_training(style, typed[train], y[train], schema, 0)
        one = encoded.x
        encoded, again = encode_training(style, other[train], other_y[train], schema, 0)
        two = encoded.x
        np.testing.assert_array_equal(one, two)
        held = expand(typed[~train], schema)
        np.testing.assert_array_equal(encode.transform(held), again.transform(held))


@pytest.mark.parametrize("style", STYLES)
def test_the_same_seed_gives_the_same_matrix(style):
    _, one, _, typed, y, schema, _ = fitted(style)
    encoded, _ = encode_training(style, typed, y, schema, seed=0)
    two = encoded.x
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("style", STYLES)
def test_no_class_of_ours_is_inside_a_fitted_encoder(style):
    import skops.io

    actual = []

    def walk(node):
        if isinstance(node, dict):
            if "__module__" in node:
                actual.append(f"{node['__module__']}.{node['__class__']}")
            node = list(node.values())
        if isinstance(node, list):
            for part in node:
                walk(part)

    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(fitted(style)[0]))) as archive:
        walk(json.loads(archive.read("schema.json")))
    assert "sklearn.compose._column_transformer.ColumnTransformer" in actual
    assert [name for name in actual if name.startswith(("fivefold.", "tests.", "__main__"))] == []


def test_a_column_named_like_a_date_part_keeps_its_values():
    frame = pd.DataFrame(
        {
            "d (month)": [70.0, 80.0, 90.0],
            "d": pd.to_datetime(["2024-01-05", "2024-02-05", "2024-03-05"]),
        }
    )
    schema = infer_schema(frame, Scope())
    for ordered in (frame, frame[["d", "d (month)"]]):
        typed, _ = coerce_table(ordered, infer_schema(ordered, Scope()))
        assert expand(typed, schema)["d (month)"].tolist() == [70.0, 80.0, 90.0]


# --- ordered target statistics, and which encodings differ ---------------------------------------


def test_ordered_means_are_those_of_the_rows_before_by_hand():
    levels, y = np.array([0, 1, 0, 0, 1]), np.array([1, 0, 0, 1, 1])
    order = np.random.default_rng(3).permutation(5).tolist()
    expected = []
    for row in range(5):
        before = [r for r in order[: order.index(row)] if levels[r] == levels[row]]
        expected.append(
            (sum(int(y[r]) for r in before) + 0.6) / (len(before) + 1)
        )  # prior: one row of the mean, 3 of 5
    assert ordered_means(levels, y, 3) == pytest.approx(expected)


def test_a_rows_own_label_has_no_part_in_its_ordered_mean():
    rng = np.random.default_rng(0)
    levels, y = rng.integers(0, 300, 2000), rng.integers(0, 2, 2000)
    result = ordered_means(levels, y, 1)
    assert (
        abs(np.corrcoef(result, y)[0, 1]) < 0.06
    )  # levels say nothing here, and plain means of 7 rows would: about .38
    plain = pd.Series(y).groupby(levels).transform("mean")
    assert np.corrcoef(plain, y)[0, 1] > 0.3


def test_serving_in_the_ordered_style_uses_all_training_rows_with_the_same_prior():
    typed, y, fold_ids, schema = prepared()
    rows = typed[fold_ids >= 0]
    encoded, encode = encode_training(ORDERED, rows, y[fold_ids >= 0], schema, 0)
    matrix, types = encoded.x, encoded.types
    recipe = plan(expand(rows, schema), schema)
    name = (recipe.few_levels + recipe.many_levels)[0]
    first = encode.output_indices_["means"].start
    served = encode.transform(expand(rows, schema))
    labels = y[fold_ids >= 0]
    for level, group in expand(rows, schema).reset_index(drop=True).groupby(name):
        result = (labels[group.index].sum() + labels.mean()) / (len(group) + 1)
        assert served[group.index, first] == pytest.approx(np.full(len(group), result)), level
    assert set(types) == {"q"}
    assert not np.allclose(matrix[:, first], served[:, first])
    others = [
        c for c in range(matrix.shape[1]) if not first <= c < encode.output_indices_["means"].stop
    ]
    np.testing.assert_array_equal(matrix[:, others], served[:, others])


@pytest.mark.parametrize(
    ("levels", "known"),
    [
        (0, (NATIVE,)),
        (2, (NATIVE,)),
        (3, (NATIVE, ONE_HOT)),
        (12, (NATIVE, ONE_HOT)),
        (13, (NATIVE, ONE_HOT, MEANS, ORDERED)),
    ],
)
def test_a_search_chooses_among_encodings_that_differ(levels, known):
    frame = pd.DataFrame({"n": np.arange(60.0)})
    columns = [Column("n", "numeric")]
    if levels:
        frame["c"] = [f"level {k % levels}" for k in range(60)]
        columns.append(Column("c", "categorical"))
    assert encodings(frame, Schema(tuple(columns), "y", "0", "1")) == (LINEAR, CROSSED, *known)

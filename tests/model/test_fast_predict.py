"""The fast path of a fitted model against its predict_proba, for each style and odd row."""

import warnings
from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lightgbm import LGBMClassifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import AdaBoostClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.kernel_approximation import Nystroem, RBFSampler
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)

from fivefold.data.coerce import LARGEST, coerce_table, different
from fivefold.data.infer import infer_schema
from fivefold.model.fast_predict import fast_predictor
from fivefold.model.inputs import expand, expand_columns
from fivefold.training.algorithms import ALGORITHMS
from fivefold.training.boosting import Encoded
from fivefold.training.encode_folds import MOST_PRODUCTS, encode_training
from fivefold.training.encoding import (
    CROSSED,
    LINEAR,
    MEANS,
    NATIVE,
    ONE_HOT,
    ORDERED,
    TREES,
    encoder,
    plan,
)
from fivefold.training.final_fit import average
from tests.support.models import Formula
from tests.support.tables import SCOPE, labels, mixed

ROWS, ROUNDS = 400, 15
WEIGHTS = {
    "logistic_regression": 0.4,
    "adaboost": 0.1,
    "random_forest": 0.2,
    "lightgbm": 0.25,
    "xgboost": 0.05,
}
pytestmark = pytest.mark.filterwarnings("ignore:lbfgs", "ignore:Skipping features")


def table(rows=ROWS, seed=0):
    """`mixed` with names that scikit-learn dislikes, rare levels, and a second date with gaps."""
    rng, frame = np.random.default_rng(seed), mixed(rows, seed)
    rare = rng.choice(
        ["basic", "gold", "silver", "rare 1", "rare 2", "rare 3"],
        rows,
        p=[0.5, 0.26, 0.22, 0.006, 0.007, 0.007],
    )
    seen = pd.Series(
        pd.Timestamp("2024-05-05") + pd.to_timedelta(rng.integers(0, 300, rows), unit="D")
    ).where(rng.random(rows) < 0.8)
    return frame.assign(
        **{
            'card__tier [%], "x" <a>': pd.Series(rare, dtype="str"),
            "": rng.normal(size=rows),
            "seen": seen,
        }
    )


@cache
def learnt(columns=None):
    """(typed table, y, schema) of `table`, of some of its columns."""
    frame = table()
    schema = infer_schema(
        frame[[*(columns or [c for c in frame if c != "left"]), "left"]], SCOPE, ("no", "yes")
    )
    return coerce_table(frame, schema)[0], labels(frame), schema


@cache
def encoded(style, columns=None):
    """(fitted encoder, matrix, types): parts that tests share."""
    typed, y, schema = learnt(columns)
    train, part = encode_training(style, typed, y, schema, 0)
    return part, train.x, train.types


@cache
def fitted(name, columns=None, seeds=(0,), style=""):
    """A served model: a Pipeline with one classifier, or a vote of some that differ by seed."""
    entry, (_, y, _) = ALGORITHMS[name], learnt(columns)
    part, matrix, types = encoded(style or entry.encoding, columns)
    params = dict(entry.defaults[0])
    if entry.boosted:
        params[entry.boosted.rounds_parameter] = ROUNDS
    elif "n_estimators" in params:
        params["n_estimators"] = ROUNDS
    train = Encoded(matrix, y, types)
    models = [entry.fit(entry.build(params, seed, 1, types), train) for seed in seeds]
    return Pipeline(
        [
            ("features", part),
            ("model", models[0] if len(models) == 1 else average(models, [1.0] * len(models))),
        ]
    )


def blend(seeds=(0,)):
    weights = [WEIGHTS.get(name, 0.15) for name in ALGORITHMS]
    return average([fitted(name, seeds=seeds) for name in ALGORITHMS], weights)


def emptied(typed):
    return pd.DataFrame(
        {name: pd.Series([None] * len(typed), dtype=typed[name].dtype) for name in typed}
    )


def extreme(typed):
    """Numbers and dates at the ends of what the reading of a table lets through."""
    ends = {
        "f": [LARGEST, -LARGEST, 1e-300, -0.0, 1e15],
        "M": ["1678-01-01", "2262-01-01 23:59", "1970-01-01", None, "0001-01-01"],
    }
    return typed.assign(
        **{
            name: pd.Series(ends[typed[name].dtype.kind] * 2, dtype=typed[name].dtype)
            for name in typed
            if typed[name].dtype.kind in "fM"
        }
    )


ASKED = {
    "training rows": lambda typed: typed,
    "a single row": lambda typed: typed.iloc[[17]],
    "two equal rows": lambda typed: typed.iloc[[3, 3]],
    "the same rows many times": lambda typed: pd.concat([typed] * 3),
    "rows of another seed": lambda typed: coerce_table(table(seed=1), learnt()[2])[0],
    "everything missing": lambda typed: emptied(typed.head(3)),
    "one row of nothing": lambda typed: emptied(typed.head(1)),
    "extremes": lambda typed: extreme(typed.head(10).reset_index(drop=True)),
    "unseen levels": lambda typed: typed.assign(
        region="atlantis", shop=[f"shop {i}" for i in range(len(typed))], note="words unheard of"
    ),
    "one unseen row": lambda typed: typed.head(1).assign(region="\x00", shop="", note=""),
}


@pytest.fixture
def no_stock(monkeypatch):
    """A function after which stock encoders, pipelines and their category parts refuse to run."""

    def forbid(categories=True):
        for part in (OneHotEncoder, OrdinalEncoder, TargetEncoder) if categories else ():
            monkeypatch.setattr(
                part, "transform", lambda *given: pytest.fail("a category was not looked up")
            )
        monkeypatch.setattr(
            ColumnTransformer,
            "transform",
            lambda *given: pytest.fail("the stock encoder was asked"),
        )
        monkeypatch.setattr(
            Pipeline, "predict_proba", lambda *given: pytest.fail("the stock pipeline was asked")
        )

    return forbid


def columns_of(typed, schema):
    return expand_columns({name: typed[name].array for name in typed}, schema)


def assert_equal(model, typed, schema, forbid=lambda: None, rtol=1e-9):
    """Return the result of both paths, which must agree; `forbid` is called between them."""
    with np.errstate(invalid="ignore"):  # the sum of two infinities in scikit-learn's own check
        expected = model.predict_proba(expand(typed, schema))[:, 1]
    asked = fast_predictor(model)
    forbid()
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=r".*valid feature names")
        result = asked(columns_of(typed, schema))
    assert result.shape == (len(typed),)
    np.testing.assert_allclose(result, expected, rtol=rtol, atol=0)
    return result


def near(name):
    return 1e-6 if name in ("xgboost", "blend") else 1e-9  # XGBoost reckons in float32


# --- every algorithm -----------------------------------------------------------------------------


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_the_direct_way_says_what_the_pipeline_says_without_asking_it(name, asked, no_stock):
    typed, _, schema = learnt()
    result = assert_equal(fitted(name), ASKED[asked](typed), schema, no_stock, near(name))
    assert len(np.unique(result)) > (10 if len(result) >= ROWS else 0)


@pytest.mark.parametrize("style", [LINEAR, TREES, NATIVE, ONE_HOT, MEANS, ORDERED])
@pytest.mark.parametrize("name", ["lightgbm", "xgboost"])
def test_every_style_of_encoding(name, style, no_stock):
    typed, _, schema = learnt()
    asked = pd.concat(
        [
            typed,
            ASKED["unseen levels"](typed),
            emptied(typed.head(2)),
            extreme(typed.head(10).reset_index(drop=True)),
        ]
    )
    assert (
        len(np.unique(assert_equal(fitted(name, style=style), asked, schema, no_stock, near(name))))
        > 100
    )


@pytest.mark.parametrize("asked", ASKED)
def test_products_of_columns_are_made_without_asking_the_pipeline(asked, no_stock):
    typed, _, schema = learnt()
    model = fitted("logistic_regression", style=CROSSED)
    assert (
        model["model"].n_features_in_
        == fitted("logistic_regression")["model"].n_features_in_ + MOST_PRODUCTS
    )
    assert_equal(model, ASKED[asked](typed), schema, no_stock)


@pytest.mark.parametrize("columns", [("member",), ("region",), ("amount", "region")])
def test_products_of_few_columns(columns, no_stock):
    typed, _, schema = learnt(columns)
    assert_equal(fitted("logistic_regression", columns, style=CROSSED), typed, schema, no_stock)


def test_a_step_that_only_looks_like_products_runs_itself():
    typed, y, schema = learnt()
    part, matrix, _ = encoded(LINEAR)
    for step in (
        ColumnTransformer([("columns", "passthrough", slice(0, 3))]),
        ColumnTransformer(
            [
                ("columns", "passthrough", slice(0, matrix.shape[1])),
                ("squares", make_pipeline(PolynomialFeatures((2, 2)), StandardScaler()), [0, 1]),
            ]
        ),
        ColumnTransformer([("columns", StandardScaler(), slice(0, matrix.shape[1]))]),
    ):
        crossed = step.fit_transform(matrix)
        assert_equal(
            Pipeline(
                [
                    ("features", part),
                    ("step", step),
                    ("model", LogisticRegression().fit(crossed, y)),
                ]
            ),
            typed,
            schema,
        )


@pytest.mark.parametrize("asked", ASKED)
def test_a_blend_of_bags_says_what_its_members_say_together(asked, no_stock):
    typed, _, schema = learnt()
    assert_equal(blend(seeds=(0, 1, 2)), ASKED[asked](typed), schema, no_stock, near("blend"))


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_averaged_models_give_the_mean_of_their_members(name, no_stock):
    typed, _, schema = learnt()
    bag = fitted(name, seeds=(0, 1, 2))
    members = [
        assert_equal(
            Pipeline([("features", bag["features"]), ("model", model)]),
            typed,
            schema,
            rtol=near(name),
        )
        for model in bag["model"].estimators_
    ]
    result = assert_equal(bag, typed, schema, no_stock, near(name))
    np.testing.assert_allclose(result, np.mean(members, axis=0), rtol=near(name))
    if name in WEIGHTS:  # an algorithm that is added later may need its seed or not
        needs_no_seed = name in ("logistic_regression", "adaboost")
        assert np.allclose(members[0], members[1]) == needs_no_seed


def test_a_table_without_rows_has_no_probabilities():
    typed, _, schema = learnt()
    for model in (fitted("lightgbm"), blend()):
        assert fast_predictor(model)(columns_of(typed.head(0), schema)).shape == (0,)


@pytest.mark.parametrize(
    "columns",
    [
        ("amount", "age", "noise"),
        ("region", "shop"),
        ("region",),
        ("shop",),
        ("note", "age"),
        ("note",),
        ("member", "since"),
        ("age", "noise"),
        ("seen", "since", "shop"),
    ],
    ids=lambda columns: " ".join(columns),
)
@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_tables_of_one_or_two_kinds_of_columns(name, columns, no_stock):
    typed, _, schema = learnt(columns)
    assert schema.names() == list(columns)
    result = assert_equal(
        fitted(name, columns),
        pd.concat([typed, emptied(typed.head(2)), extreme(typed.head(10).reset_index(drop=True))]),
        schema,
        no_stock,
        near(name),
    )
    assert len(np.unique(result)) > 1


CELLS = {
    "f": st.one_of(
        st.none(),
        st.floats(-LARGEST, LARGEST),
        st.integers(-3, 200).map(float),
        st.sampled_from([0.0, 1.0, 50.0]),
    ),
    "M": st.one_of(st.none(), st.datetimes(min_value=pd.Timestamp("1700-01-01").to_pydatetime())),
    "O": st.one_of(
        st.none(),
        st.text(max_size=5),
        st.sampled_from(["north", "gold", "rare 1", "shop 03", "late kind", "(missing)"]),
    ),
}


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_typed_row_has_the_same_probability_on_both_ways(data):
    typed, _, schema = learnt()
    rows = data.draw(st.integers(1, 4))
    drawn = {
        name: data.draw(st.lists(CELLS[typed[name].dtype.kind], min_size=rows, max_size=rows))
        for name in typed
    }
    asked = pd.DataFrame(
        {name: pd.Series(cells, dtype=typed[name].dtype) for name, cells in drawn.items()}
    )
    for name in ALGORITHMS:
        assert_equal(fitted(name), asked, schema, rtol=near(name))


# --- parts that may come -------------------------------------------------------------------------


NUMBERS, LOW, HIGH = (
    ["amount", "age", "noise", "member"],
    ["region", 'card__tier [%], "x" <a>'],
    ["shop"],
)


def filled(*steps):
    return make_pipeline(SimpleImputer(strategy="median"), *steps)


def hot(**options):
    return OneHotEncoder(handle_unknown="infrequent_if_exist", sparse_output=False, **options)


PARTS = {
    "numbers through a kernel map": [
        ("n", filled(StandardScaler(), Nystroem(n_components=20, random_state=0)), NUMBERS)
    ],
    "random features": [
        ("n", filled(StandardScaler(), RBFSampler(n_components=20, random_state=0)), NUMBERS)
    ],
    "products of numbers": [("n", filled(PolynomialFeatures(2)), NUMBERS), ("c", hot(), LOW)],
    "a scaler without a mean": [("n", filled(StandardScaler(with_mean=False)), NUMBERS)],
    "means as fill and all indicators": [
        ("n", SimpleImputer(add_indicator=True), NUMBERS),
        ("m", MissingIndicator(features="all"), NUMBERS),
    ],
    "straight splines": [("n", filled(SplineTransformer(extrapolation="linear")), NUMBERS)],
    "sparse splines": [("n", filled(SplineTransformer(sparse_output=True)), NUMBERS)],
    "splines with all bases and other knots": [
        ("n", filled(SplineTransformer(n_knots=4, degree=2)), NUMBERS)
    ],
    "a union": [
        (
            "n",
            FeatureUnion(
                [("a", filled(StandardScaler())), ("b", MissingIndicator(error_on_new=False))]
            ),
            NUMBERS,
        )
    ],
    "a column transformer inside": [
        ("n", ColumnTransformer([("a", filled(), ["age"])], remainder="drop"), NUMBERS)
    ],
    "a function of one column": [
        ("n", FunctionTransformer(lambda age: age.fillna(1.0).to_frame()), "age")
    ],
    "gaps that are zeros": [
        (
            "n",
            SimpleImputer(missing_values=0.0, fill_value=7.0, strategy="constant"),
            ["member", "age"],
        ),
        ("m", MissingIndicator(missing_values=0.0, features="all", error_on_new=False), ["member"]),
    ],
    "numbers and texts in one": [
        (
            "c",
            make_pipeline(
                SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")
            ),
            ["member", "region"],
        )
    ],
    "a function of a table": [
        ("n", FunctionTransformer(lambda rows: rows[["age", "member"]].fillna(0.0) + 1), NUMBERS)
    ],
    "sparse one-hot": [("c", OneHotEncoder(handle_unknown="ignore"), LOW)],
    "one-hot without the first": [("c", OneHotEncoder(handle_unknown="ignore", drop="first"), LOW)],
    "at most two levels": [("c", hot(max_categories=2), LOW)],
    "rare levels together": [("c", hot(min_frequency=5), LOW)],
    "one-hot and scaled": [("c", make_pipeline(hot(), StandardScaler()), LOW)],
    "categories mixed with each other": [
        ("c", make_pipeline(hot(min_frequency=5), PCA(3, random_state=0)), LOW)
    ],
    "target means turned": [
        ("c", make_pipeline(TargetEncoder(random_state=0), PCA(3)), [*LOW, *HIGH])
    ],
    "target means scaled and multiplied": [
        (
            "c",
            make_pipeline(TargetEncoder(random_state=0), StandardScaler(), PolynomialFeatures(2)),
            [*LOW, *HIGH],
        )
    ],
    "codes": [
        ("c", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), LOW),
        ("n", filled(), NUMBERS),
    ],
    "numbers as categories": [
        ("c", OneHotEncoder(handle_unknown="ignore"), ["member"]),
        ("n", filled(), ["age"]),
    ],
    "counted words": [("t", CountVectorizer(), "note"), ("n", filled(), NUMBERS)],
    "a part without columns": [("c", hot(), []), ("n", filled(), NUMBERS), ("d", "drop", LOW)],
}


NOT_LOOKED_UP = ("one-hot without the first", "numbers as categories", "numbers and texts in one")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("parts", PARTS)
def test_unknown_parts_run_themselves(parts, no_stock):
    typed, y, schema = learnt()
    model = Pipeline(
        [
            ("features", ColumnTransformer(PARTS[parts], verbose_feature_names_out=False)),
            ("model", LogisticRegression()),
        ]
    )
    model.fit(expand(typed, schema), y)
    for rows in (
        typed,
        typed.head(1),
        ASKED["unseen levels"](typed.head(30)),
        emptied(typed.head(2)),
        extreme(typed.head(10).reset_index(drop=True)),
    ):
        if (
            parts != "gaps that are zeros" or not rows["age"].isna().any()
        ):  # a gap that is none is refused
            assert_equal(model, rows, schema)
    if parts != "a column transformer inside":
        result = assert_equal(model, typed, schema, lambda: no_stock(parts not in NOT_LOOKED_UP))
        assert len(np.unique(result)) > 1


@pytest.mark.parametrize(
    ("part", "names", "change", "message"),
    [
        (OneHotEncoder(), ['card__tier [%], "x" <a>'], "unseen", "unknown categories"),
        (MissingIndicator(), ["amount", "age"], None, "missing values"),
    ],
)
def test_a_part_that_refuses_news_refuses_them_still(part, names, change, message):
    typed, y, schema = learnt()
    model = Pipeline(
        [("features", ColumnTransformer([("p", part, names)])), ("model", LogisticRegression())]
    ).fit(expand(typed, schema), y)
    assert_equal(model, typed, schema)
    odd = typed.head(3).assign(**{names[-1]: pd.Series([change] * 3, dtype=typed[names[-1]].dtype)})
    for asked in (
        lambda: model.predict_proba(expand(odd, schema)),
        lambda: fast_predictor(model)(columns_of(odd, schema)),
    ):
        with pytest.raises(ValueError, match=message):
            asked()


@pytest.mark.parametrize(
    "classifier",
    [
        LogisticRegression(),
        RandomForestClassifier(5, random_state=0),
        AdaBoostClassifier(n_estimators=5),
        LGBMClassifier(n_estimators=5, verbosity=-1),
    ],
    ids=lambda c: type(c).__name__,
)
def test_of_three_classes_the_second_is_returned(classifier, no_stock):
    typed, _, schema = learnt()
    model = Pipeline(
        [("features", ColumnTransformer([("n", filled(), NUMBERS)])), ("model", classifier)]
    )
    model.fit(expand(typed, schema), np.digitize(typed["noise"], [-0.5, 0.5]))
    assert assert_equal(model, typed, schema, no_stock).max() > 0.35


def test_a_leaf_that_is_undecided_counts_for_the_first_class(no_stock):
    typed, _, schema = learnt(("age", "noise"))
    old = (typed["age"] > 50).to_numpy()
    young = np.flatnonzero(~old)[:100]
    keep, y = np.r_[np.flatnonzero(old), young], np.r_[np.zeros(old.sum()), np.arange(100) % 2]
    rows = expand(typed.assign(age=old * 1.0), schema)
    model = Pipeline(
        [
            ("features", ColumnTransformer([("n", "passthrough", ["age"])])),
            ("model", AdaBoostClassifier(n_estimators=1)),
        ]
    )
    model.fit(rows.iloc[keep], y)
    leaves = model["model"].estimators_[0].tree_.value[1:, 0]
    assert sorted(leaves[:, 0] - leaves[:, 1]) == [0, 1]
    assert_equal(model, typed.assign(age=old * 1.0), schema, no_stock)


def test_members_share_the_different_texts_of_a_column(monkeypatch):
    typed, _, schema = learnt()
    model, asked = fast_predictor(blend()), []
    monkeypatch.setattr(
        "fivefold.model.fast_predict.different",
        lambda values: asked.append(len(values)) or different(values),
    )
    model(columns_of(typed, schema))
    assert len(asked) == len(schema.names("categorical", "text")) == 4


@pytest.mark.parametrize(
    "between",
    [
        Nystroem(n_components=30, random_state=0),
        PolynomialFeatures(2, interaction_only=True),
        FunctionTransformer(np.tanh),
    ],
    ids=str,
)
def test_steps_between_encoder_and_classifier(between, no_stock):
    typed, y, schema = learnt()
    model = make_pipeline(
        clone_of(TREES), StandardScaler(), between, LogisticRegression(max_iter=50)
    )
    model.fit(expand(typed, schema), y)
    assert len(np.unique(assert_equal(model, typed, schema, no_stock))) > 100


def clone_of(style):
    typed, _, schema = learnt()
    return encoder(plan(expand(typed, schema), schema), style, 0)


def test_a_column_that_was_constant_in_training_and_is_not_any_more(no_stock):
    """The gaps of `seen` are filled with its one hour, 0: ranks and curves are constant."""
    typed, _, schema = learnt()
    assert "seen (hour)" in plan(expand(typed, schema), schema).numbers
    asked = typed.assign(seen=pd.Timestamp("2024-06-01 23:00"))
    assert_equal(fitted("logistic_regression"), asked, schema, no_stock)


def test_an_empty_column_is_left_out_where_the_imputer_leaves_it_out(no_stock):
    typed, y, schema = learnt(("age", "noise"))
    nothing = typed.assign(age=np.nan)
    model = Pipeline(
        [
            ("features", ColumnTransformer([("n", filled(), ["age", "noise"])])),
            ("model", LogisticRegression()),
        ]
    )
    model.fit(expand(nothing, schema), y)
    assert model["model"].coef_.shape == (1, 1)
    assert_equal(model, typed, schema, no_stock)


def test_an_indicator_without_columns_adds_none(no_stock):
    typed, _, schema = learnt(("age", "noise"))
    model = fitted("logistic_regression", ("age", "noise"))
    assert model["features"].named_transformers_["missing"].features_.size == 0
    assert_equal(model, typed, schema, no_stock)


# --- what is not known ---------------------------------------------------------------------------


def unknown_models():
    typed, y, schema = learnt(("age", "noise"))
    rows = expand(typed, schema)
    by_place = Pipeline(
        [
            ("features", ColumnTransformer([("n", "passthrough", [0])])),
            ("model", LogisticRegression()),
        ]
    ).fit(rows, y)
    weighted = Pipeline(
        [
            (
                "features",
                ColumnTransformer([("n", "passthrough", ["age"])], transformer_weights={"n": 0.1}),
            ),
            ("model", LogisticRegression()),
        ]
    )
    return {
        "a formula": Formula(lambda rows: 1 / (1 + np.exp(-rows["age"] / 50))),
        "places": by_place,
        "weights": weighted.fit(rows, y),
        "calibrated": CalibratedClassifierCV(fitted("lightgbm", ("age", "noise")), cv=2).fit(
            rows, y
        ),
        "no encoder": make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, y),
    }


@pytest.mark.parametrize("kind", ["a formula", "places", "weights", "calibrated", "no encoder"])
def test_an_unknown_model_runs_its_own_predict_proba_on_a_table(kind, monkeypatch):
    typed, _, schema = learnt(("age", "noise"))
    model, tables = unknown_models()[kind], []
    own = type(model).predict_proba
    monkeypatch.setattr(
        type(model), "predict_proba", lambda self, rows: tables.append(rows) or own(self, rows)
    )
    assert_equal(model, typed, schema)
    pd.testing.assert_frame_equal(tables[-1], expand(typed, schema))
    result = fast_predictor(average([model, fitted("adaboost", ("age", "noise"))], [1.0, 3.0]))(
        columns_of(typed, schema)
    )
    assert isinstance(tables[-1], pd.DataFrame)  # a member of a blend as well
    assert len(np.unique(result)) > 10


def test_an_unknown_classifier_behind_a_known_encoder_gets_its_matrix(no_stock):
    typed, y, schema = learnt()
    model = Pipeline(
        [
            ("features", clone_of(LINEAR)),
            ("model", average([GaussianNB().fit(encoded(LINEAR)[1], y)], [1.0])),
        ]
    )
    model["features"].fit(expand(typed, schema), y)
    assert len(np.unique(assert_equal(model, typed, schema, no_stock))) > 10


def test_a_hard_vote_has_no_probabilities():
    typed, _, schema = learnt()
    model = average([fitted("lightgbm")] * 2, [1.0, 1.0])
    model.voting = "hard"
    with pytest.raises(AttributeError, match=r"predict_proba"):
        fast_predictor(model)(columns_of(typed, schema))

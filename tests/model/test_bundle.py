"""The bundle: stored and loaded for all algorithms, damage refused, each odd row handled."""

import io
import json
import os
import zipfile
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from fivefold.core.findings import Refused
from fivefold.core.schema import Column, Schema
from fivefold.core.scope import Scope
from fivefold.data.splits import Split
from fivefold.model.bundle import SCORE_COLUMNS, Bundle, from_bytes, reference, sha256
from fivefold.model.calibration import IDENTITY
from fivefold.model.evaluation import Evaluation
from fivefold.model.fast_predict import fast_predictor
from fivefold.model.inputs import expand
from fivefold.model.metadata import Metadata, Outcomes, Provenance
from fivefold.model.threshold import Threshold
from fivefold.training.algorithms import ALGORITHMS
from tests.support.models import changed as changed_metadata
from tests.support.tables import mixed, prepared
from tests.support.training import candidate, fit_final

METADATA = Metadata(
    calibration=replace(IDENTITY, a=0.8),
    threshold=Threshold(0.4),
    outcomes=Outcomes("stays", "leaves"),
    provenance=Provenance("TrainFlow/7", "abc", rows=400),
    evaluation=Evaluation(rows=80),
)
ROWS = 20


def bundled(name):
    typed, y, fold_ids, schema = prepared()
    rows = Split(fold_ids).training_rows
    params = {
        **ALGORITHMS[name].defaults[0],
        **({"n_estimators": 20} if "n_estimators" in ALGORITHMS[name].defaults[0] else {}),
    }
    return Bundle(
        fit_final(candidate(name, params=params), typed.iloc[rows], y[rows], schema),
        schema,
        METADATA,
    )


@pytest.fixture(scope="module")
def bundle():
    return bundled("lightgbm")


@pytest.fixture(scope="module")
def blob(bundle):
    return bundle.to_bytes()


def served(**columns):
    return mixed().drop(columns="left").head(ROWS).assign(**columns)


def changed(column, row, value):
    """A table with one odd cell."""
    frame = served()
    frame[column] = frame[column].astype("object")
    frame.loc[row, column] = value
    return frame


def repacked(blob, **changes):
    """The same zip with some files replaced (None: left out)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(blob)) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            data = changes.get(name.replace(".", "_"), old.read(name))
            if data is not None:
                new.writestr(name, data)
    return buffer.getvalue()


# --- there and back ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_scores_are_equal_after_the_way_through_bytes(name):
    made = bundled(name)
    data = made.to_bytes()
    again = from_bytes(data, sha256(data))
    frame = mixed()
    assert again.score(frame).equals(made.score(frame))
    assert made.score(frame)["probability"].nunique() > 50
    assert again.schema == made.schema
    assert again.metadata == made.metadata


def test_the_zip_has_a_readable_text_and_plain_json(blob):
    with zipfile.ZipFile(io.BytesIO(blob)) as archive:
        assert archive.namelist() == ["README.txt", "model.skops", "bundle.json"]
        assert (
            "Trained by TrainFlow/7 on 400 rows, data md5 abc."
            in archive.read("README.txt").decode()
        )
        content = json.loads(archive.read("bundle.json"))
    assert (content["format"], content["phrases"]) == (1, ["stays", "leaves"])
    assert [c["name"] for c in content["schema"]["columns"]][:2] == ["amount", "age"]


def test_nan_in_what_a_bundle_says_is_an_error(bundle):
    with pytest.raises(ValueError, match=r"Out of range float values are not JSON compliant"):
        changed_metadata(bundle, evaluation=Evaluation(auc={"value": float("nan")})).to_bytes()


# --- asked directly ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_scores_are_those_of_the_stock_pipeline_without_asking_it(name, monkeypatch):
    made, (typed, *_) = bundled(name), prepared()
    expected = METADATA.calibration.apply(
        made.pipeline.predict_proba(expand(typed, made.schema))[:, 1]
    )
    monkeypatch.setattr(
        ColumnTransformer, "transform", lambda *given: pytest.fail("the stock encoder was asked")
    )
    np.testing.assert_allclose(made.probability(typed), expected, rtol=1e-6)
    np.testing.assert_allclose(made.score(mixed())["probability"], expected, rtol=1e-6)


def test_the_direct_way_is_made_once_and_no_part_of_the_bundle(monkeypatch):
    made, asked = bundled("lightgbm"), []
    monkeypatch.setattr(
        "fivefold.model.bundle.fast_predictor",
        lambda model: asked.append(model) or fast_predictor(model),
    )
    result = made.score(served())
    for _ in range(2):
        made.score(served())
        made.probability(prepared()[0])
    assert asked == [made.pipeline]
    assert made == Bundle(made.pipeline, made.schema, made.metadata)
    assert from_bytes(made.to_bytes()).score(served()).equals(result)


# --- refused -------------------------------------------------------------------------------------


def test_another_digest_is_refused_and_the_right_one_is_not(blob):
    assert from_bytes(blob, sha256(blob)).metadata.outcomes == METADATA.outcomes
    with pytest.raises(
        Refused, match=r"bundle-digest \[bundle\]: expected sha256 000000000000…; found sha256 "
    ):
        from_bytes(blob, "0" * 64)
    flipped = bytearray(blob)
    flipped[len(blob) // 2] ^= 1
    with pytest.raises(Refused, match=r"bundle-digest"):
        from_bytes(bytes(flipped), sha256(blob))


def test_a_damaged_file_is_refused_wherever_it_is_damaged(blob):
    for cut in (0, 1, 100, len(blob) // 2, len(blob) - 1):
        with pytest.raises(Refused, match=r"bundle-damaged"):
            from_bytes(blob[:cut])
    rng = np.random.default_rng(0)
    for fold_ids in rng.integers(
        0, len(blob), 150
    ):  # a flip in a date or attribute of the zip may do no harm
        flipped = bytearray(blob)
        flipped[fold_ids] ^= 1 << rng.integers(0, 8)
        try:
            result = from_bytes(bytes(flipped))
        except Refused as refused:
            assert "The model cannot be loaded" in str(refused)  # noqa: PT017
        else:
            assert result.metadata == METADATA


@pytest.mark.parametrize(
    "changes",
    [
        {"bundle_json": None},
        {"model_skops": None},
        {"bundle_json": b"{"},
        {"bundle_json": b"\xff\xfe"},
        {"bundle_json": b"[1, 2]"},
        {"bundle_json": b'{"format": 1}'},
        {"bundle_json": b'{"format": 1, "schema": {"columns": [{"nme": "x"}]}}'},
        {"model_skops": b"not a zip"},
        {"model_skops": b""},
    ],
)
def test_a_missing_or_broken_part_is_refused(blob, changes):
    with pytest.raises(Refused, match=r"bundle-(damaged|format)"):
        from_bytes(repacked(blob, **changes))


def test_another_format_is_refused(blob):
    with pytest.raises(
        Refused, match=r"bundle-format.*expected format 1.*score with the version that trained it"
    ):
        from_bytes(repacked(blob, bundle_json=b'{"format": 2, "schema": {}}'))


class Foreign:
    """A type that no pipeline of ours holds."""


def renamed(model, old, new):
    """Bytes of a skops file in which a type or function goes by another name."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(skops.io.dumps(model))) as archive,
        zipfile.ZipFile(buffer, "w") as changed_archive,
    ):
        for name in archive.namelist():
            data = archive.read(name)
            if name == "schema.json":
                for part, other in zip(old, new, strict=True):
                    assert f'"{part}"'.encode() in data
                    data = data.replace(f'"{part}"'.encode(), f'"{other}"'.encode())
            changed_archive.writestr(name, data)
    return buffer.getvalue()


def test_a_foreign_type_is_refused_by_name_and_never_loaded(blob, monkeypatch):
    monkeypatch.setattr(skops.io, "loads", lambda *args, **options: pytest.fail("loaded"))
    attacks = {
        r"test_bundle\.Foreign": skops.io.dumps(Pipeline([("model", Foreign())])),
        r"posix\.system": renamed(
            Pipeline([("model", FunctionTransformer(os.path.join))]),
            ("posixpath", "join"),
            ("posix", "system"),
        ),
        r"builtins\.eval": renamed(
            Pipeline([("model", FunctionTransformer(os.path.join))]),
            ("posixpath", "join"),
            ("builtins", "eval"),
        ),
    }
    for named, model in attacks.items():
        with pytest.raises(Refused, match=rf"bundle-untrusted.*{named}.*do not load this file"):
            from_bytes(repacked(blob, model_skops=model))


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_no_class_of_ours_is_inside_a_bundle(name):
    with zipfile.ZipFile(io.BytesIO(bundled(name).to_bytes())) as archive:
        text = zipfile.ZipFile(io.BytesIO(archive.read("model.skops"))).read("schema.json").decode()
    modules = {line.split('"')[3] for line in text.splitlines() if '"__module__"' in line}
    assert "sklearn.pipeline" in modules
    assert not {m for m in modules if m.split(".")[0] in ("fivefold", "tests", "__main__")}


# --- rows ----------------------------------------------------------------------------------------


def test_a_fitting_table_has_a_probability_and_a_decision_for_each_row(bundle):
    result = bundle.score(served())
    assert result.columns.tolist() == SCORE_COLUMNS
    assert result["probability"].between(0, 1, inclusive="neither").all()
    assert (result["decision"] == np.where(result["probability"] >= 0.4, "leaves", "stays")).all()
    assert set(result["decision"]) == {"leaves", "stays"}
    assert (result["error"] == "").all()


def test_the_index_and_the_order_of_the_input_are_kept(bundle):
    frame = served().set_axis(pd.Index([5] * 10 + [3] * 10))
    result = bundle.score(frame)
    assert result.index.tolist() == [5] * 10 + [3] * 10
    np.testing.assert_array_equal(result["probability"], bundle.score(served())["probability"])
    turned = bundle.score(served().iloc[::-1])
    np.testing.assert_array_equal(
        turned["probability"].to_numpy()[::-1], bundle.score(served())["probability"]
    )


def test_each_row_is_scored_as_if_alone(bundle):
    whole = bundle.score(mixed())
    for row in (0, 17, 399):
        assert bundle.score(mixed().iloc[[row]]).equals(whole.iloc[[row]])


@pytest.mark.parametrize(
    ("column", "value", "error"),
    [
        ("age", "forty", "age: 'forty' is not a number"),
        ("amount", np.inf, "amount: 'inf' is infinite"),
        ("amount", "-inf", "amount: '-inf' is infinite"),
        ("since", "31.31.2020", "since: '31.31.2020' is not a date"),
        ("age", "9" * 400, "is infinite"),
    ],
)
def test_a_cell_that_cannot_be_read_costs_its_row_and_no_other(bundle, column, value, error):
    result, clean = bundle.score(changed(column, 4, value)), bundle.score(served())
    assert error in result.loc[4, "error"]
    assert np.isnan(result.loc[4, "probability"])
    assert result.loc[4, "decision"] == ""
    others = result.index != 4
    assert (result.loc[others, "error"] == "").all()
    np.testing.assert_array_equal(
        result.loc[others, "probability"], clean.loc[others, "probability"]
    )


def test_notes_on_pseudonymised_columns_come_last(bundle):
    """So that no value can look like a warning about another column."""
    frame = served(age=150, region="x; shop: y")
    hidden = changed_metadata(bundle, scope=Scope(pseudonymised_columns=("age",)))
    ages, regions = (
        "age: 150 is outside the training range 18 to 79",
        "region: 'x; shop: y' was not seen in training",
    )
    assert [made.score(frame)["warnings"][0] for made in (bundle, hidden)] == [
        f"{ages}; {regions}",
        f"{regions}; {ages}",
    ]


@pytest.mark.parametrize(
    ("column", "value", "warning"),
    [
        ("region", "atlantis", "region: 'atlantis' was not seen in training"),
        ("age", 150, "age: 150 is outside the training range 18 to 79"),
        ("age", -1, "age: -1 is outside the training range 18 to 79"),
        ("age", None, "age: missing, which training never saw"),
        ("shop", None, "shop: missing, which training never saw"),
        ("member", "perhaps", "member: 'perhaps' is neither yes nor no, taken as missing"),
        ("since", None, "since: missing, which training never saw"),
        ("note", None, "note: missing, which training never saw"),
    ],
)
def test_an_ambiguous_cell_is_scored_with_a_warning(bundle, column, value, warning):
    result, clean = bundle.score(changed(column, 4, value)), bundle.score(served())
    added = set(result.loc[4, "warnings"].split("; ")) - set(clean.loc[4, "warnings"].split("; "))
    assert added == {warning}
    assert result.loc[4, "error"] == ""
    assert 0 < result.loc[4, "probability"] < 1
    others = result.index != 4
    assert result[others].equals(clean[others])


@pytest.mark.parametrize("column", ["amount", "region"])
def test_a_gap_that_training_saw_is_no_news(bundle, column):
    result = bundle.score(changed(column, 4, None))
    assert result.loc[4, ["warnings", "error"]].tolist() == ["", ""]


def test_all_warnings_of_a_row_are_reported_together(bundle):
    frame = changed("age", 4, "x")
    frame.loc[4, ["region", "amount"]] = ["atlantis", 1e9]
    result = bundle.score(frame).loc[4]
    assert result["error"] == "age: 'x' is not a number"
    assert result["warnings"].startswith("amount: 1e+09 is outside the training range")
    assert result["warnings"].endswith("region: 'atlantis' was not seen in training")
    assert result["warnings"].count("; ") == 1


def test_long_foreign_text_is_cut_in_a_warning(bundle):
    assert len(bundle.score(changed("region", 4, "x" * 10_000)).loc[4, "warnings"]) < 200


# --- tables --------------------------------------------------------------------------------------


def test_a_missing_column_is_refused_with_the_difference(bundle):
    with pytest.raises(
        Refused,
        match=r"(?s)does not fit the model: 2 problems.*- amount \(numeric\).*"
        r"rename 'Region' to 'region'",
    ):
        bundle.score(served().drop(columns="amount").rename(columns={"region": "Region"}))


def test_a_column_of_another_type_is_refused(bundle):
    with pytest.raises(
        Refused,
        match=r"column-type \[age\]: expected numeric values; "
        r"found no cell of that kind, such as 'old'",
    ):
        bundle.score(served(age=["old", "young"] * 10))


def test_repeated_columns_are_refused(bundle):
    frame = pd.concat([served(), served()[["age"]]], axis=1)
    with pytest.raises(Refused, match=r"column-repeated \[age\]"):
        bundle.score(frame)


def test_names_that_are_no_texts_are_refused_or_matched_but_never_a_traceback(bundle):
    with pytest.raises(Refused, match="column-missing"):
        bundle.score(served().set_axis(range(8), axis=1))
    numbered = Schema(
        tuple(Column(str(i), c.kind, nullable=True) for i, c in enumerate(bundle.schema.columns)),
        "y",
        "0",
        "1",
    )
    result = Bundle(None, numbered, METADATA).score(served().head(0).set_axis(range(8), axis=1))
    assert len(result) == 0


def test_order_and_extra_columns_do_not_matter(bundle):
    frame = served()
    clean = bundle.score(frame)
    assert (
        bundle.score(frame[frame.columns[::-1]])
        .drop(columns="warnings")
        .equals(clean.drop(columns="warnings"))
    )
    assert bundle.score(frame.assign(more=1, left="yes")).equals(clean)


def test_a_table_without_rows_gives_a_table_without_rows(bundle):
    for frame in (
        served().head(0),
        pd.DataFrame(columns=served().columns),
        served().head(0).astype("object"),
    ):
        result = bundle.score(frame)
        assert (result.columns.tolist(), len(result)) == (SCORE_COLUMNS, 0)


def test_a_table_of_errors_only_is_scored_as_such(bundle):
    frame = served().astype({"age": "object", "amount": "object"}).head(2)
    frame.loc[0, "age"], frame.loc[1, "amount"] = "x", "y"
    result = bundle.score(frame)
    assert result["probability"].isna().all()
    assert (result["error"] != "").all()


TYPES = {
    "texts": lambda t: t.astype("str").where(t.notna(), None),
    "objects": lambda t: t.astype("object"),
    "Int64": lambda t: t.astype({"age": "Int64"}),
    "int8": lambda t: t.astype({"age": "int8"}),
    "float32": lambda t: t.astype({"age": "float32"}),
    "Float64": lambda t: t.astype({"amount": "Float64"}),
    "categories": lambda t: t.astype(
        {"region": "category", "shop": "category", "member": "category"}
    ),
    "bool": lambda t: t.assign(member=t["member"] == "yes"),
    "boolean": lambda t: t.assign(member=(t["member"] == "yes").astype("boolean")),
    "0/1": lambda t: t.assign(member=(t["member"] == "yes").astype(int)),
    "0.0/1.0": lambda t: t.assign(member=(t["member"] == "yes") * 1.0),
    "date texts": lambda t: t.assign(since=t["since"].dt.strftime("%Y-%m-%d")),
    "dates in ns": lambda t: t.astype({"since": "datetime64[ns]"}),
    "zoned": lambda t: t.assign(since=t["since"].dt.tz_localize("UTC")),
    "pyarrow": lambda t: t.convert_dtypes(dtype_backend="pyarrow"),
    "nullable": lambda t: t.convert_dtypes(),
    "spaces": lambda t: t.assign(region=" " + t["region"] + " "),
}


@pytest.mark.parametrize("form", TYPES)
def test_the_same_values_in_another_type_have_the_same_score(bundle, form):
    frame = mixed().drop(columns="left").head(60)
    expected, result = bundle.score(frame), bundle.score(TYPES[form](frame))
    assert result["error"].tolist() == [""] * 60
    np.testing.assert_array_equal(result["probability"], expected["probability"])
    assert result["warnings"].tolist() == expected["warnings"].tolist()


def test_a_single_row_of_json_like_values_is_scored(bundle):
    row = json.loads(served().head(1).assign(since="2020-02-03").to_json(orient="records"))
    result = bundle.score(pd.DataFrame(row))
    assert result.loc[0, "error"] == ""
    assert 0 < result.loc[0, "probability"] < 1


# --- reference -----------------------------------------------------------------------------------


def test_the_reference_worked_by_hand():
    schema = Schema(
        (
            Column("n", "numeric"),
            Column("c", "categorical"),
            Column("b", "boolean"),
            Column("empty", "numeric"),
            Column("t", "text"),
        ),
        "y",
        "0",
        "1",
    )
    typed = pd.DataFrame(
        {
            "n": [0.0, 50.0, 100.0, np.nan],
            "c": pd.Series(["a", "a", None, "b"], dtype="str"),
            "b": [1.0, 0.0, 1.0, 1.0],
            "empty": [np.nan] * 4,
            "t": "words",
        }
    )
    result = reference(typed, schema, np.array([0.0, 0.5, 1.0])).to_dict()
    assert result["rows"] == 4
    assert (
        result["scores"][0],
        result["scores"][50],
        result["scores"][100],
        len(result["scores"]),
    ) == (
        0.0,
        0.5,
        1.0,
        101,
    )
    assert (result["columns"]["n"]["missing"], result["columns"]["n"]["percentiles"][25]) == (
        0.25,
        25.0,
    )
    assert result["columns"]["c"] == {"missing": 0.25, "levels": {"a": 0.666667, "b": 0.333333}}
    assert result["columns"]["b"] == {"missing": 0.0, "levels": {"1.0": 0.75, "0.0": 0.25}}
    assert result["columns"]["empty"] == {"missing": 1.0, "percentiles": []}
    assert "t" not in result["columns"]
    assert json.loads(json.dumps(result, allow_nan=False)) == result

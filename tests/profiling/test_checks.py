"""Checks: each planted fault fires with its subject and count, and a clean table stays quiet."""

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fivefold.core.findings import ERROR, NOT_APPLICABLE, PASSED, WARNING
from fivefold.core.roc_auc import roc_auc
from fivefold.core.scope import Scope
from fivefold.data.infer import infer_schema
from fivefold.data.target import Target
from fivefold.profiling import check_context, checks, leakage
from fivefold.profiling.check_context import CheckContext
from fivefold.profiling.checks import CHECKS, check_table
from fivefold.profiling.leakage import check_split


def table(seed=0, rows=400, share=0.4):
    """A clean table: a useful number, noise, two categories, a flag, dates, gaps; target `y`."""
    rng = np.random.default_rng(seed)
    y = (rng.permutation(rows) < share * rows).astype(int)
    when = pd.Timestamp("2023-01-01") + pd.to_timedelta(rng.integers(0, 700, rows), unit="D")
    return pd.DataFrame(
        {
            "signal": (y + rng.normal(0, 1, rows)).round(4),
            "noise": rng.normal(50, 9, rows).round(3),
            "gaps": np.where(rng.random(rows) < 0.2, np.nan, rng.gamma(2, 100, rows).round(2)),
            "country": pd.Series(rng.choice(["France", "Spain", "Germany"], rows), dtype="str"),
            "plan": pd.Series(rng.choice(["basic", "plus"], rows), dtype="str"),
            "flag": rng.integers(0, 2, rows),
            "since": pd.Series(when.strftime("%Y-%m-%d"), dtype="str"),
            "y": y,
        }
    )


def run(frame, seed=0, **scope):
    """All findings; the target is read as 0/1 with -1 for a missing label."""
    scope = Scope(**{"target": "y", **scope})
    y = frame["y"].fillna(-1).to_numpy().astype("int8")
    target = Target(y, "0", "1")
    return check_table(CheckContext.of(frame, scope, infer_schema(frame, scope), target, seed))


def of(frame, code, **scope):
    """The findings of one code as (severity, subject), and the findings."""
    actual = [f for f in run(frame, **scope) if f.code == code]
    return [(f.severity, f.subject) for f in actual], actual


def only(frame, code, **scope):
    """The one finding of a code."""
    _, actual = of(frame, code, **scope)
    assert len(actual) == 1, actual
    return actual[0]


def loud(findings):
    return [f.message for f in findings if f.severity in (ERROR, WARNING)]


# --- the runner ----------------------------------------------------------------------------------


def test_a_clean_table_stays_quiet_over_many_seeds():
    for seed in range(12):
        assert loud(run(table(seed))) == [], seed


def test_a_small_clean_table_is_warned_for_its_size_only():
    for seed in range(8):
        codes = {f.code for f in run(table(seed, rows=60)) if f.severity in (ERROR, WARNING)}
        assert codes == {"few-rows", "few-labels"}, seed


def test_every_check_reports_and_only_under_its_own_code():
    actual = run(table())
    assert list(dict.fromkeys(f.code for f in actual)) == [check.code for check in CHECKS]
    assert len({check.code for check in CHECKS}) == len(CHECKS)


def test_a_check_without_data_is_not_called_passed():
    frame = table()[["noise", "y"]]
    skipped = {f.code for f in run(frame) if f.severity == NOT_APPLICABLE}
    assert skipped == {
        "leak-missing",
        "time-column",
        "group-column",
        "protected-columns",
        "missing-words",
        "mixed-zones",
        "date-ambiguous",
        "date-sentinel",
        "many-levels",
        "level-spelling",
        "free-text",
    }


def test_findings_repeat_for_one_seed():
    frame = table(3)
    assert run(frame, seed=1) == run(frame, seed=1)


def test_an_odd_index_and_numbered_columns_do_no_harm():
    frame = table().set_index(pd.Index([7] * 400))
    assert loud(run(frame)) == []


def test_a_target_of_another_length_is_refused():
    frame = table()
    with pytest.raises(ValueError, match="expected a label per row, found 399 labels and 400 rows"):
        CheckContext.of(
            frame,
            Scope(target="y"),
            infer_schema(frame, Scope(target="y")),
            Target(np.zeros(399), "0", "1"),
        )


def test_a_large_table_is_checked_on_a_sample_and_says_so(monkeypatch):
    monkeypatch.setattr(check_context, "SAMPLE", 1000)
    frame = table(rows=3000).assign(outcome=lambda t: t["y"] * 1.0 + np.linspace(0, 0.5, 3000))
    assert only(frame, "leak").found.endswith("(in a sample of 1,000 of 3,000 rows)")


def test_fifty_thousand_rows_take_seconds():
    frame, start = table(rows=50_000), time.perf_counter()
    run(frame)
    assert time.perf_counter() - start < 8


# --- columns, scope, labels ----------------------------------------------------------------------


def test_duplicate_columns_stop_all_other_checks():
    frame = table()
    schema = infer_schema(frame, Scope(target="y"))
    twice = pd.concat([frame, frame[["noise"]]], axis=1)
    target = Target(frame["y"].to_numpy(), "0", "1")
    actual = check_table(CheckContext.of(twice, Scope(target="y"), schema, target))
    assert (actual[0].code, actual[0].severity, actual[0].subject) == (
        "duplicate-columns",
        ERROR,
        "noise",
    )
    assert actual[0].found == "2 columns named 'noise'"
    assert {f.severity for f in actual[1:]} == {NOT_APPLICABLE}
    assert len(actual) == len(CHECKS)


def test_scope_column_missing_is_an_error_where_rows_or_columns_depend_on_it():
    scope = {
        "id_columns": ("Noise",),
        "drop_columns": ("nope",),
        "group_column": "grp",
        "time_column": "sinse",
        "protected_columns": ("sex",),
        "changeable_columns": ("plann",),
        "known_columns": ("k",),
        "kinds": {"flagg": "boolean"},
        "units": {"u": "EUR"},
        "help": {"h": "text"},
    }
    seen, actual = of(table(), "scope-column-missing", **scope)
    assert seen == [
        (ERROR, "grp"),
        (ERROR, "sinse"),
        (ERROR, "Noise"),
        (ERROR, "nope"),
        (WARNING, "sex"),
        (WARNING, "plann"),
        (WARNING, "k"),
        (WARNING, "flagg"),
        (WARNING, "u"),
        (WARNING, "h"),
    ]
    actions = {f.subject: f.action for f in actual}
    assert actions["sinse"] == "did you mean 'since'?"
    assert actions["Noise"] == "did you mean 'noise'?"
    assert actions["grp"].startswith("columns: signal, noise, gaps")


def test_scope_may_describe_the_target_but_not_use_it_twice():
    assert of(table(), "scope-column-missing", help={"y": "left?"})[0] == [(PASSED, "table")]
    assert of(table(), "scope-target-reused", help={"y": "left?"})[0] == [(PASSED, "table")]
    finding = only(table(), "scope-target-reused", drop_columns=("y",))
    assert (finding.severity, finding.subject, finding.found) == (
        ERROR,
        "y",
        "the target under [columns] drop",
    )


@pytest.mark.parametrize(
    ("rows", "severity"), [(49, ERROR), (50, WARNING), (199, WARNING), (200, PASSED)]
)
def test_few_rows(rows, severity):
    assert only(table(rows=rows), "few-rows").severity == severity


def test_few_rows_counts_labelled_rows():
    frame = table(rows=300)
    frame["y"] = frame["y"].astype("float64").where(np.arange(300) < 45)
    assert (only(frame, "few-rows").severity, only(frame, "few-rows").found) == (
        ERROR,
        "45 labelled rows",
    )


@pytest.mark.parametrize(
    ("positives", "severity"), [(9, ERROR), (10, WARNING), (99, WARNING), (100, PASSED)]
)
def test_few_labels(positives, severity):
    frame = table(rows=1000)
    frame["y"] = (np.arange(1000) < positives).astype(int)
    finding = only(frame, "few-labels")
    assert finding.severity == severity
    if severity != PASSED:
        assert finding.found == f"{positives} rows labelled '1'"


@pytest.mark.parametrize(
    ("positives", "severity", "said"),
    [
        (50, PASSED, "each class"),
        (49, WARNING, "4.9% of the labels are '1'"),
        (9, WARNING, "very rare: 0.9% of"),
        (960, WARNING, "4% of the labels are '0'"),
    ],
)
def test_imbalance(positives, severity, said):
    frame = table(rows=1000)
    frame["y"] = (np.arange(1000) < positives).astype(int)
    finding = only(frame, "imbalance")
    assert finding.severity == severity
    assert said in finding.found


# --- leaks ---------------------------------------------------------------------------------------


def test_target_copy_in_another_spelling_is_refused():
    frame = table(rows=60).assign(
        closed=lambda t: t["y"].map({0: "open", 1: "gone"}).astype("str"),
        inverse=lambda t: 7 - 3 * t["y"],
    )
    seen, actual = of(frame, "target-copy")
    assert seen == [(ERROR, "closed"), (ERROR, "inverse")]
    assert actual[0].found == "always gone where the target is '1' and open where the target is '0'"
    assert "--drop closed" in actual[0].action
    assert "[columns] known" in actual[0].action
    assert of(frame, "leak")[0] == [(PASSED, "table")]  # said once


def test_target_copy_with_one_other_row_is_no_copy_but_a_leak():
    frame = table(rows=1000).assign(
        closed=lambda t: t["y"].map({0: "open", 1: "gone"}).astype("str")
    )
    frame.loc[0, "closed"] = "gone" if frame.loc[0, "y"] == 0 else "open"
    assert of(frame, "target-copy")[0] == [(PASSED, "table")]
    assert of(frame, "leak")[0] == [(ERROR, "closed")]


@pytest.mark.parametrize("sign", [1, -1])
def test_leak_of_a_number_that_separates_the_classes_is_refused(sign):
    rng = np.random.default_rng(1)
    frame = table().assign(fee=lambda t: sign * (10.0 * t["y"] + rng.uniform(0, 9, len(t))))
    finding = only(frame, "leak")
    assert (finding.severity, finding.subject) == (ERROR, "fee")
    assert (
        finding.found == "alone it ranks the labels with AUC 1.0000, "
        "at least 0.983 with 95% confidence, by its order"
    )


def test_leak_of_an_unordered_number_is_found_by_its_levels():
    rng = np.random.default_rng(1)
    frame = table(rows=1000)
    frame["code"] = np.where(frame["y"] == 1, 5, rng.choice([3, 8], 1000))
    frame["band"] = np.where(
        frame["y"] == 1, rng.uniform(4, 6, 1000), rng.choice([0, 7], 1000) + rng.uniform(0, 3, 1000)
    )
    seen, actual = of(frame, "leak")
    assert seen[0] == (ERROR, "code")
    assert seen[1][1] == "band"  # a bin on the border mixes both
    assert actual[0].found.endswith("by its levels, scored out of fold")


def test_leak_of_levels_that_determine_the_target_is_refused():
    rng = np.random.default_rng(2)
    frame = table(rows=2000)
    frame["reason"] = pd.Series(
        np.where(frame["y"] == 1, rng.choice(["moved", "price", "death"], 2000), "none"),
        dtype="str",
    )
    frame["agent"] = (frame["y"] * 100 + rng.integers(0, 100, 2000)).map("a{}".format).astype("str")
    assert of(frame, "leak")[0] == [(ERROR, "reason"), (ERROR, "agent")]
    assert "[columns] group" in of(frame, "leak")[1][1].action


def test_leak_of_a_date_is_refused():
    frame = table().assign(
        since=lambda t: (
            np.where(t["y"] == 1, "2024-06-0", "2023-06-0")
            + pd.Series(np.arange(400) % 9 + 1).astype("str")
        )
    )
    assert of(frame, "leak")[0] == [(ERROR, "since")]


def test_leak_is_suspected_where_the_separation_is_nearly_perfect():
    rng = np.random.default_rng(3)
    frame = table(rows=2000).assign(
        score=lambda t: 2.9 * t["y"] + rng.normal(0, 1, 2000)
    )  # true AUC .980
    assert of(frame, "leak")[0] == [(WARNING, "score")]


def test_a_leak_that_the_scope_vouches_for_passes_and_says_so():
    frame = table().assign(fee=lambda t: 10.0 * t["y"] + np.linspace(0, 9, 400))
    finding = only(frame, "leak", known_columns=("fee",))
    assert (finding.severity, finding.subject) == (PASSED, "fee")
    assert "the scope lists it as known" in finding.found
    assert of(frame, "leak", drop_columns=("fee",))[0] == [(PASSED, "table")]
    assert Scope.from_dict({"columns": {"known": ["fee"]}}).known_columns == ("fee",)


def test_a_strong_honest_column_of_a_small_table_is_never_refused():
    for seed in range(40):
        frame = table(seed, rows=60, share=0.5)[["y"]]
        frame["strong"] = 2.9 * frame["y"] + np.random.default_rng(seed).normal(
            size=60
        )  # true AUC .980
        assert (ERROR, "strong") not in of(frame, "leak")[0], seed


def test_the_false_alarm_rate_of_the_bound_is_as_stated():
    """A true AUC of .95 (normal scores 2.326 apart) must be refused in at most 5% of tables."""
    rng, refused = np.random.default_rng(0), 0
    for _ in range(400):
        y = np.repeat([0, 1], 60)
        area = roc_auc(y, 2.326 * y + rng.normal(size=120))
        refused += leakage.lower_bound(area, 60) >= leakage.LEAK_SURE
    assert refused <= 0.05 * 400


@pytest.mark.parametrize("levels", [2, 15, 60, 300, 2000])
def test_noise_of_any_cardinality_is_no_leak(levels):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        frame = table(seed, rows=600)[["noise", "y"]]
        frame["level"] = pd.Series(rng.integers(0, levels, 600)).map("v{}".format).astype("str")
        frame["number"] = rng.integers(0, levels, 600)
        assert of(frame, "leak")[0] == [(PASSED, "table")], seed


def test_noise_in_an_oversampled_table_is_no_leak():
    frame = table(rows=200)
    frame["name"] = (
        pd.Series(np.random.default_rng(0).integers(0, 2000, 200)).map("n{}".format).astype("str")
    )
    frame = pd.concat([frame] * 5, ignore_index=True)
    assert of(frame, "leak")[0] == [(PASSED, "table")]


def test_levels_of_groups_are_checked_across_groups():
    """A town repeated within each customer tells nothing of other customers."""
    rng = np.random.default_rng(0)
    customer = np.repeat(np.arange(200), 5)
    frame = pd.DataFrame(
        {
            "who": customer,
            "town": pd.Series(customer).map("t{}".format).astype("str"),
            "x": rng.normal(size=1000),
            "y": rng.integers(0, 2, 200)[customer],
        }
    )
    assert of(frame, "leak", group_column="who")[0] == [(PASSED, "table")]
    assert of(frame, "leak")[0] == [(ERROR, "town")]


def test_leak_is_not_checked_with_too_few_labels():
    frame = table(rows=100)
    frame["y"] = (np.arange(100) < 9).astype(int)
    finding = only(frame, "leak")
    assert (finding.severity, finding.found) == (
        NOT_APPLICABLE,
        "9 rows of the rarer class, 10 are needed",
    )


def test_leak_missing_of_a_column_filled_in_after_the_event():
    frame = table(rows=1000)
    frame["closed_on"] = np.where(
        frame["y"] == 1, np.random.default_rng(0).normal(size=1000), np.nan
    )
    finding = only(frame, "leak-missing")
    assert (finding.severity, finding.subject) == (ERROR, "closed_on")
    assert finding.found == "missing in 0.0% of the positive and 100.0% of the negative rows"
    assert of(frame, "leak")[0] == [(PASSED, "table")]


def test_auc_by_hand():
    assert roc_auc(np.array([0, 0, 1, 1]), np.array([1.0, 2, 3, 4])) == 1
    assert roc_auc(np.array([1, 0, 1, 0]), np.array([1.0, 2, 3, 4])) == 0.25
    assert roc_auc(np.array([1, 0, 1]), np.array([5.0, 5, 5])) == 0.5
    assert np.isnan(roc_auc(np.array([1]), np.array([1.0])))


def test_out_of_fold_rates_by_hand():
    codes, y, folds = np.array([0, 0, 1, 2]), np.array([1, 0, 1, 0]), np.array([0, 1, 0, 1])
    # fold 0 learns from rows 1 and 3 (share 0): level 0 has 0 of 1; level 1 is unseen: 0.
    # Fold 1: share 1.
    assert leakage.out_of_fold_rates(codes, y, folds).tolist() == [0, 1, 0, 1]


# --- rows ----------------------------------------------------------------------------------------


def test_duplicate_rows_are_counted():
    frame = pd.concat([table(), table().iloc[[0, 0, 5]]], ignore_index=True)
    finding = only(frame, "duplicate-rows")
    assert (finding.severity, finding.subject) == (WARNING, "table")
    assert (
        finding.found
        == "3 rows that repeat an earlier row, such as row 401, 402, 403; 400 distinct rows of 403"
    )
    assert (
        only(frame.assign(id=np.arange(403)), "duplicate-rows", id_columns=("id",)).severity
        == WARNING
    )


def test_conflicting_labels_are_counted_with_the_ceiling():
    frame = pd.concat(
        [table(), table().iloc[[0, 1]].assign(y=lambda t: 1 - t["y"])], ignore_index=True
    )
    finding = only(frame, "conflicting-labels")
    assert finding.severity == WARNING
    assert finding.found.startswith("4 rows in 2 groups that differ in the label only")
    assert of(frame, "duplicate-rows")[0] == [(PASSED, "table")]


def test_conflicting_labels_ceiling_by_hand():
    """Two cells of 50 rows with 40 and 10 positives: AUC = .5 * (1 + .8 - .2)."""
    frame = pd.DataFrame(
        {
            "a": np.repeat([0.0, 1.0], 50),
            "y": np.r_[np.ones(40), np.zeros(10), np.zeros(40), np.ones(10)].astype(int),
        }
    )
    assert "AUC 0.800000 on" in only(frame, "conflicting-labels").found


def test_split_straddle_names_groups_on_two_sides():
    groups = np.array([0, 0, 1, 1, 2, 3, 3])
    assert [f.severity for f in check_split(groups, np.array([0, 0, -1, -1, 4, 2, 2]))] == [PASSED]
    (finding,) = check_split(groups, np.array([0, -1, 1, 1, 4, 2, 3]))
    assert (finding.code, finding.severity) == ("split-straddle", ERROR)
    assert finding.found == "2 groups of equal rows (4 rows) in more than one fold or holdout"
    with pytest.raises(ValueError, match="expected one fold per row, found 7 groups and 6 folds"):
        check_split(groups, np.zeros(6))


# --- time, groups, protected ---------------------------------------------------------------------


def test_time_column_must_be_dates_or_numbers():
    assert only(table(), "time-column", time_column="since").severity == PASSED
    assert only(table(), "time-column", time_column="noise").severity == PASSED
    finding = only(table(), "time-column", time_column="country")
    assert (finding.severity, finding.subject) == (ERROR, "country")
    assert finding.found.startswith("categorical cells such as '")


def test_time_column_with_gaps():
    frame = table()
    frame.loc[:6, "since"] = None
    finding = only(frame, "time-column", time_column="since")
    assert (finding.severity, finding.found) == (WARNING, "7 rows without a readable time")
    finding = only(table(), "time-column", time_column="country", kinds={"country": "date"})
    assert (finding.severity, finding.found) == (ERROR, "400 rows without a readable time")


@pytest.mark.parametrize(
    ("groups", "said"),
    [(1, (ERROR, "1 group")), (5, (ERROR, "5 groups")), (80, (PASSED, "enough groups"))],
)
def test_group_column_needs_a_group_for_each_part(groups, said):
    finding = only(table().assign(g=np.arange(400) % groups), "group-column", group_column="g")
    assert finding.severity == said[0]
    assert finding.found.startswith(said[1])


def test_group_column_warns_of_few_single_and_missing_groups():
    assert only(table().assign(g=np.arange(400) % 10), "group-column", group_column="g").found == (
        "10 groups, the largest with 40 of 400 rows"
    )
    assert (
        only(table().assign(g=np.arange(400)), "group-column", group_column="g").found
        == "400 groups of one row each"
    )
    gaps = table().assign(g=np.where(np.arange(400) < 3, np.nan, np.arange(400) % 80))
    assert only(gaps, "group-column", group_column="g").found == "3 rows without a group"


def test_protected_columns_are_named_and_hinted_at():
    _, actual = of(
        table(), "protected-columns", protected_columns=("plan", "country"), drop_columns=("plan",)
    )
    assert [(f.severity, f.subject, f.found) for f in actual] == [
        (PASSED, "plan", "protected; the model does not see it"),
        (PASSED, "country", "protected; the model sees it"),
    ]
    hint = only(table().rename(columns={"noise": "Age", "plan": "page"}), "protected-columns")
    assert hint.severity == NOT_APPLICABLE
    assert hint.found.startswith("no protected columns named; Age: ")


# --- single columns ------------------------------------------------------------------------------


def test_empty_column():
    frame = table().assign(void=np.nan)
    assert of(frame, "empty-column")[0] == [(WARNING, "void")]
    assert of(frame, "constant-column")[0] == [(PASSED, "table")]
    assert of(frame, "empty-column", drop_columns=("void",))[0] == [(PASSED, "table")]


def test_constant_column():
    finding = only(table().assign(same="eur"), "constant-column")
    assert (finding.severity, finding.subject, finding.found) == (
        WARNING,
        "same",
        "the one value 'eur'",
    )


def test_id_like_column_is_dropped_with_a_warning_unless_the_scope_names_it():
    frame = table().assign(row=np.arange(400))
    finding = only(frame, "id-like")
    assert (finding.severity, finding.subject) == (WARNING, "row")
    assert finding.found.startswith("400 different values in 400 rows")
    assert of(frame, "id-like", id_columns=("row",))[0] == [(PASSED, "row")]
    assert of(frame, "id-like", drop_columns=("row",))[0] == [(PASSED, "table")]


def test_redundant_column_in_the_same_or_another_spelling():
    frame = table().assign(
        noise2=lambda t: t["noise"], plan_code=lambda t: t["plan"].map({"basic": 1, "plus": 2})
    )
    seen, actual = of(frame, "redundant-column")
    assert seen == [(WARNING, "noise2"), (WARNING, "plan_code")]
    assert actual[0].found == "the same information as 'noise' in every row"
    frame.loc[399, "noise2"] += 1
    assert of(frame, "redundant-column")[0] == [(WARNING, "plan_code")]


@pytest.mark.parametrize(
    ("share", "said"),
    [(0.5, None), (0.51, "51.0% of cells missing"), (0.96, "96.0% of cells missing")],
)
def test_missing_cells(share, said):
    frame = table()
    frame["noise"] = frame["noise"].where(np.arange(400)[::-1] >= share * 400)
    finding = only(frame, "missing-cells")
    assert finding.severity == (WARNING if said else PASSED)
    assert finding.found == (said or "no used column misses more than 50%")
    if share > 0.95:
        assert finding.action.startswith("drop it")


def test_missing_words():
    frame = table()
    frame.loc[:4, "country"] = "Unknown"
    frame.loc[5:6, "country"] = "?"
    finding = only(frame, "missing-words")
    assert (finding.severity, finding.subject) == (WARNING, "country")
    assert finding.found == "7 cells 'Unknown', '?', read as levels"


def test_infinite_values():
    frame = table()
    frame.loc[[3, 9], "noise"] = [np.inf, -np.inf]
    finding = only(frame, "infinite-values")
    assert (finding.severity, finding.subject, finding.found) == (
        WARNING,
        "noise",
        "infinity in 2 cells",
    )


def test_sentinel_numbers():
    frame = table().assign(tenure=lambda t: np.arange(400) % 70)
    frame.loc[[1, 2, 3], "tenure"] = -999
    frame.loc[[7, 8], "noise"] = 9999
    seen, actual = of(frame, "sentinel-suspected")
    assert seen == [(WARNING, "noise"), (WARNING, "tenure")]
    assert actual[1].found == "-999 in 3 cells, the others from 0 to 69"


@pytest.mark.parametrize(
    "values", [np.arange(400) * 10.0, np.arange(400) - 1000.0, np.arange(400) % 120.0]
)
def test_sentinel_numbers_within_the_range_are_numbers(values):
    frame = table().assign(
        amount=np.random.default_rng(0).permutation(values) + 0.5 * (np.arange(400) == 0)
    )
    frame.loc[[5, 6], "amount"] = {3990: 999, -601: -999}.get(int(values[-1]), 99)
    assert of(frame, "sentinel-suspected")[0] == [(PASSED, "table")]


def test_mixed_types_counts_the_cells_that_do_not_read():
    frame = table()
    frame["noise"] = frame["noise"].astype("str")
    frame.loc[[4, 5, 9], "noise"] = ["low", "low", "high"]
    frame.loc[[7], "since"] = "soon"
    seen, actual = of(frame, "mixed-types")
    assert seen == [(WARNING, "noise"), (WARNING, "since")]
    assert actual[0].found == "3 cells that are not numbers (row 5: 'low', row 10: 'high')"
    assert actual[1].found == "1 cells that are not dates (row 8: 'soon')"


def test_mixed_types_of_half_numbers_half_words():
    frame = table()
    frame["size"] = pd.Series(
        np.where(np.arange(400) % 4 == 0, "large", (np.arange(400) % 37).astype("str")), dtype="str"
    )
    finding = only(frame, "mixed-types")
    assert (finding.severity, finding.subject) == (WARNING, "size")
    assert finding.found == "75% numbers, the rest words such as 'large'; all are read as levels"
    frame["size"] = (
        pd.Series(np.arange(400) % 4).map({0: "0", 1: "1", 2: "2", 3: "3+"}).astype("str")
    )
    assert of(frame, "mixed-types")[0] == [(PASSED, "table")]


def test_written_numbers_are_shown_with_the_rule():
    cents = pd.Series(np.arange(400) * 731 + 100000)
    frame = table().assign(
        pay=cents.map(lambda c: f"${c / 100:,.2f}").astype("str"),
        eur=cents.map(lambda c: f"{c / 100:,.2f} €".translate(str.maketrans(",.", ".,"))).astype(
            "str"
        ),
    )
    _, actual = of(frame, "written-numbers")
    assert [(f.severity, f.subject, f.found) for f in actual] == [
        (PASSED, "pay", "'$1,000.00' read as 1000 (decimal '.', thousands ',')"),
        (PASSED, "eur", "'1.000,00 €' read as 1000 (decimal ',', thousands '.')"),
    ]


def test_mixed_units_and_zones():
    units = pd.Series([f"{n % 50 + 10} {'kg' if n % 2 else 'lbs'}" for n in range(400)])
    finding = only(table().assign(weight=units.astype("str")), "mixed-units")
    assert (finding.severity, finding.subject) == (WARNING, "weight")
    zones = [f"2024-01-{n % 20 + 10} 10:00{'+02:00' if n % 2 else ''}" for n in range(400)]
    _, actual = of(table().assign(seen=pd.Series(zones, dtype="str")), "mixed-zones")
    assert [(f.severity, f.subject) for f in actual] == [(WARNING, "seen")]


def test_written_numbers_of_two_readings_are_ambiguous():
    frame = table().assign(
        pay=pd.Series(np.arange(400) * 2 + 1001).map("{:,}".format).astype("str")
    )
    finding = only(frame, "written-numbers")
    assert (finding.severity, finding.subject) == (WARNING, "pay")
    assert (
        finding.found == "'1,001' read as 1001 (decimal '.', thousands ','), "
        "but ',' could as well be the decimal sign"
    )


GERMAN = ["950", "1.500", "12.000", "120"]


@pytest.mark.parametrize(
    ("cells", "doubtful"),
    [
        ([f"{n} €" for n in GERMAN], "'1.500 €' read as 1.5"),
        (GERMAN, "'1.500' read as 1.5"),
        (["-1.500", "2.250"], "'-1.500' read as -1.5"),
        (["0.750 €", "1.500 €", "3.250 €"], ""),
        ([*GERMAN, "12000"], ""),
        ([*GERMAN, "1.5"], ""),
        (["950 €", "120 €", "7 €"], ""),
        (["1.500,00 €", "950,00 €"], ""),
    ],
)
def test_a_point_before_three_digits_may_be_the_thousands_sign(cells, doubtful):
    frame = table().assign(pay=pd.Series((cells * 400)[:400], dtype="str"))
    actual = [f for f in of(frame, "written-numbers")[1] if f.severity == WARNING]
    assert [f.found for f in actual] == (
        [f"{doubtful} (decimal '.'), but '.' could as well be the thousands sign"]
        if doubtful
        else []
    )


def test_ambiguous_dates():
    days, months = np.arange(400) % 12 + 1, np.arange(400) // 12 % 12 + 1
    frame = table().assign(
        seen=[f"{d:02d}/{m:02d}/2021" for d, m in zip(days, months, strict=True)]
    )
    frame["seen"] = frame["seen"].astype("str")
    finding = next(f for f in of(frame, "date-ambiguous")[1] if f.subject == "seen")
    assert finding.severity == WARNING
    assert (
        finding.found
        == "'01/01/2021' and all others could be day or month first; read as day first"
    )
    frame.loc[0, "seen"] = "13/01/2021"
    finding = next(f for f in of(frame, "date-ambiguous")[1] if f.subject == "seen")
    assert (finding.severity, finding.found) == (
        PASSED,
        "dates written %d/%m/%Y, 2021-01-01 to 2021-12-12",
    )


@pytest.mark.parametrize(
    ("form", "doubtful"),
    [
        ("{:02d}/{:02d}/21", True),
        ("{:02d}.{:02d}.21", False),
        ("{:02d}/{:02d}/2021 10:00:05", True),
        ("{:02d}-{:02d}-2021 10:00", True),
        ("{:02d}/{:02d}/2021 01:00:05 PM", True),
        ("2021/{:02d}/{:02d} 10:00:05", False),
    ],
)
def test_ambiguous_dates_with_times_and_short_years(form, doubtful):
    days, months = np.arange(400) % 12 + 1, np.arange(400) // 12 % 12 + 1
    frame = table().assign(
        seen=pd.Series([form.format(d, m) for d, m in zip(days, months, strict=True)], dtype="str")
    )
    finding = next(f for f in of(frame, "date-ambiguous")[1] if f.subject == "seen")
    assert finding.severity == (WARNING if doubtful else PASSED)
    if form.endswith(".21"):
        assert (
            finding.found
            == "dates written %d.%m.%y, 2021-01-01 to 2021-12-12 (years 69 to 99 are of the 1900s)"
        )


@pytest.mark.parametrize("code", ["1900-01-01", "9999-12-31", "1970-01-01"])
def test_date_placeholders(code):
    frame = table()
    frame.loc[[2, 3], "since"] = code
    finding = only(frame, "date-sentinel")
    assert (finding.severity, finding.subject) == (WARNING, "since")
    assert finding.found == f"{code} in 2 cells, a year or more from all others"


def test_a_placeholder_date_among_its_neighbours_is_a_date():
    born = pd.Timestamp("1969-06-01") + pd.to_timedelta(np.arange(400), unit="D")
    assert of(table().assign(since=born.strftime("%Y-%m-%d").astype("str")), "date-sentinel")[
        0
    ] == [(PASSED, "table")]


@pytest.mark.parametrize(
    ("levels", "said"),
    [
        (50, None),
        (51, "51 levels in 1,000 rows"),
        (300, "300 levels in 1,000 rows; 3.3 rows a level"),
        (600, "600 levels in 1,000 rows; 1.7 rows a level"),
    ],
)
def test_many_levels(levels, said):
    frame = table(rows=1000).assign(
        city=pd.Series(np.arange(1000) % levels).map("c{}".format).astype("str")
    )
    finding = only(frame, "many-levels")
    assert finding.severity == (WARNING if said else PASSED)
    if said:
        assert (finding.subject, finding.found) == ("city", said)
        assert finding.action.startswith("drop it" if levels == 600 else "nothing")


def test_level_spelling():
    frame = table()
    frame.loc[:3, "country"] = "SPAIN "
    frame.loc[4:5, "country"] = "spain"
    finding = only(frame, "level-spelling")
    assert (finding.severity, finding.subject) == (WARNING, "country")
    assert finding.found == "1 level in several spellings: 'Spain' = 'SPAIN' = 'spain'"
    frame.loc[:5, "country"] = " Spain "
    assert of(frame, "level-spelling")[0] == [(PASSED, "table")]


def test_free_text_is_information():
    words = np.random.default_rng(0).choice(
        ["late", "good", "rude", "fast", "again", "never"], (400, 6)
    )
    frame = table().assign(
        comment=pd.Series([" ".join([*row, str(n)]) for n, row in enumerate(words)], dtype="str")
    )
    assert of(frame, "free-text")[0] == [(PASSED, "comment")]


def test_no_message_repeats_a_long_cell():
    frame = table().assign(same="x" * 5000)
    frame.loc[3, "noise"] = np.inf
    assert max(len(f.message) for f in run(frame)) < 600


def test_each_code_is_named_in_this_file():
    """One planted fault per code: a new check needs a test."""
    text = Path(__file__).read_text(encoding="utf-8")
    assert [c.code for c in checks.CHECKS if f'"{c.code}"' not in text] == []


def test_a_column_of_one_value_or_nothing_is_presence():
    present = np.where(np.arange(400) % 3 == 0, "x", None)
    finding = only(table().assign(mark=present), "constant-column")
    assert (finding.severity, finding.found) == (
        PASSED,
        "'x' or nothing; the model sees whether it is there",
    )
    frame = table()
    leaky = frame.assign(ended=np.where(frame["y"] == frame["y"].iloc[0], "2024-01-01", None))
    assert of(leaky, "leak-missing")[0] == [(ERROR, "ended")]


def test_unique_codes_are_reported_and_amounts_are_not():
    rng = np.random.default_rng(0)
    codes = rng.choice(900_000, 400, replace=False) + 100_000
    frame = table().assign(policy=codes, account_number=np.arange(400) ** 2 + 7)
    result = {f.subject: f for f in of(frame, "id-like")[1]}
    assert set(result) == {"policy", "account_number"}
    assert result["policy"].found == (
        "400 different whole numbers in 400 rows, which look like codes; the model takes them for "
        "a measurement"
    )
    amounts = (np.exp(rng.normal(12, 1, 400)) * 10_000).astype(int)
    assert loud(of(table().assign(paid=amounts), "id-like")[1]) == []

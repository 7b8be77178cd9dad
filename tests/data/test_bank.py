"""The bundled table: the same everywhere, and its best possible score is the stated one."""

import hashlib
import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fivefold.core.roc_auc import roc_auc
from fivefold.core.scope import read_scope
from fivefold.data.infer import infer_schema
from fivefold.data.synthetic import bank
from fivefold.data.synthetic.bank import (
    TARGET,
    draw,
    expected_roc_auc,
    true_probability,
    write,
)

ROOT = Path(__file__).resolve().parents[2]


def best_roc_auc(frame):
    """The expected ROC AUC of the best possible ranking of these rows; labels are not looked at."""
    return expected_roc_auc(true_probability(frame))


def realised_roc_auc(frame):
    """The ROC AUC of the true probability against the labels that these rows happened to get.

    It differs from `best_roc_auc` by luck alone. NaN for one class.
    """
    return roc_auc((frame[TARGET] == "yes").to_numpy().astype(int), true_probability(frame))


@pytest.fixture(scope="module")
def table():
    return draw(10_000)


@pytest.fixture(scope="module")
def large():
    return draw(60_000, seed=11)


def by_brute_force(p):
    """Expected concordant pairs over expected pairs, pair by pair."""
    hits = pairs = 0.0
    for i, j in itertools.permutations(range(len(p)), 2):
        weight = p[i] * (1 - p[j])
        pairs += weight
        hits += weight * (1.0 if p[i] > p[j] else 0.5 if p[i] == p[j] else 0.0)
    return hits / pairs


@pytest.mark.parametrize(
    "p",
    [
        [0.2, 0.8],
        [0.1, 0.1, 0.9],
        [0.5, 0.5, 0.5],
        [0, 0.3, 0.3, 0.7, 1],
        [0.05, 0.2, 0.2, 0.2, 0.6, 0.9],
    ],
)
def test_the_expected_auc_is_that_of_all_pairs(p):
    assert expected_roc_auc(np.array(p)) == pytest.approx(by_brute_force(p), abs=1e-12)


def test_the_expected_auc_is_the_mean_over_all_labellings():
    """Weighted by pairs, over every labelling and its probability."""
    p = np.array([0.1, 0.4, 0.4, 0.8])
    hits = pairs = 0.0
    for y in itertools.product([0, 1], repeat=4):
        probability = np.prod(np.where(y, p, 1 - p))
        for i, j in itertools.product(range(4), repeat=2):
            if y[i] > y[j]:
                pairs += probability
                hits += probability * (0.5 if p[i] == p[j] else float(p[i] > p[j]))
    assert expected_roc_auc(p) == pytest.approx(hits / pairs, abs=1e-12)


@pytest.mark.parametrize("p", [[], [0.5], [1.0, 1.0], [0.0, 0.0, 0.0]])
def test_no_pair_gives_no_auc(p):
    assert np.isnan(expected_roc_auc(np.array(p)))


def test_certain_outcomes_are_ranked_without_error():
    assert expected_roc_auc(np.array([0.0, 1.0, 0.0])) == 1.0


def test_the_realised_auc_agrees_with_scikit_learn(table):
    from sklearn.metrics import roc_auc_score

    assert realised_roc_auc(table) == pytest.approx(
        roc_auc_score(table.churned == "yes", true_probability(table)), abs=1e-12
    )
    assert np.isnan(realised_roc_auc(table[table.churned == "yes"]))


def test_the_realised_auc_is_within_its_error_of_the_best(large):
    ones = (large.churned == "yes").sum()
    best = best_roc_auc(large)
    q1, q2 = best / (2 - best), 2 * best**2 / (1 + best)  # Hanley and McNeil 1982
    zeros = len(large) - ones
    error = np.sqrt(
        (best * (1 - best) + (ones - 1) * (q1 - best**2) + (zeros - 1) * (q2 - best**2))
        / (ones * zeros)
    )
    assert abs(realised_roc_auc(large) - best) < 3 * error


def test_the_probability_is_calibrated_in_every_tenth_and_in_every_corner(large):
    p, y = true_probability(large), (large.churned == "yes").to_numpy()
    groups = [
        np.digitize(p, np.quantile(p, np.arange(0.1, 1, 0.1))),
        large.country,
        large.gender,
        large.channel,
        large.n_products,
        large.salary.isna(),
        large.last_contact.isna(),
        large.complaints_12m,
        large.satisfaction.fillna(0),
        large.active_member + (large.age > 50).astype(str),
    ]
    scores = []
    for group in groups:
        for level in pd.unique(pd.Series(group)):
            rows = np.asarray(group == level)
            scores.append((y[rows] - p[rows]).sum() / np.sqrt((p[rows] * (1 - p[rows])).sum()))
    assert len(scores) > 40
    assert np.abs(scores).max() < 4  # a z score of 4 comes once in 16,000
    assert np.mean(np.square(scores)) < 1.6


def test_prevalence_zeros_and_best_auc_are_as_documented(table, large):
    assert 0.19 <= (table.churned == "yes").mean() <= 0.21
    assert 0.33 <= (table.balance == 0).mean() <= 0.39
    assert 0.86 <= best_roc_auc(large) <= 0.89
    assert table.isna().mean()[lambda share: share > 0].round(2).to_dict() == {
        "salary": 0.07,
        "balance": 0.02,
        "card_tier": 0.3,
        "logins_30d": 0.05,
        "satisfaction": 0.15,
        "last_contact": 0.12,
    }
    assert (table.card_tier.isna() == (table.has_card == "no")).all()
    assert table.customer_id.is_unique


def test_an_interaction_is_worth_finding(large):
    """Age matters far more for the inactive; balance has opposite effects at 1 and 2 products."""
    p = true_probability(large)
    logit = pd.Series(np.log(p / (1 - p)))
    middle = large.age.between(48, 60)
    effect = {
        a: logit[middle & (large.active_member == a)].mean()
        - logit[~middle & (large.active_member == a)].mean()
        for a in ("yes", "no")
    }
    assert effect["no"] > effect["yes"] + 1
    positive = large.balance > 0
    slope = {
        n: np.polyfit(
            large.balance[positive & (large.n_products == n)],
            logit[positive & (large.n_products == n)],
            1,
        )[0]
        for n in (1, 2)
    }
    assert slope[1] > 0 > slope[2]


def test_hidden_values_have_no_effect(table):
    """Id, first day and target may change without the probability changing."""
    other = table.assign(customer_id="x", customer_since="2000-01-01", churned="no")
    assert (true_probability(other) == true_probability(table)).all()
    answered = table[table.satisfaction == 3]
    assert true_probability(answered.assign(satisfaction=np.nan)) == pytest.approx(
        true_probability(answered), abs=1e-12
    )


def test_the_truth_stays_where_all_dates_move(table):
    dates = list(bank.DATES)
    later = table[dates].apply(lambda dates: pd.to_datetime(dates) + pd.Timedelta(days=180))
    assert (true_probability(table.assign(**later)) == true_probability(table)).all()


def test_a_missing_column_is_named(table):
    with pytest.raises(KeyError, match="balance"):
        true_probability(table.drop(columns="balance"))


def test_a_longer_table_begins_with_the_shorter_and_any_piece_can_be_drawn_alone(
    monkeypatch, tmp_path
):
    whole = draw(500, seed=3)
    pd.testing.assert_frame_equal(draw(120, seed=3), whole.iloc[:120])
    pd.testing.assert_frame_equal(
        draw(200, seed=3, start=250), whole.iloc[250:450].reset_index(drop=True)
    )
    write(tmp_path / "one.csv", 500, 3)
    monkeypatch.setattr(bank, "CHUNK", 77)
    write(tmp_path / "many.csv", 500, 3)
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "many.csv").read_bytes()
    assert not draw(500, seed=4).equals(whole)


def test_every_row_has_enough_draws():
    """One more draw than DRAWS would raise in `next`; a table of one row is no exception."""
    assert draw(1, seed=1).shape == (1, 21)


@pytest.mark.parametrize(("rows", "start"), [(0, 0), (-5, 0), (5, -1)])
def test_no_rows_is_refused(rows, start):
    with pytest.raises(ValueError, match=f"found {rows} from row {start}"):
        draw(rows, start=start)


def test_the_csv_reads_back_as_drawn_and_keeps_the_probability_exactly(tmp_path, table):
    write(tmp_path / "t.csv")
    back = pd.read_csv(tmp_path / "t.csv")
    pd.testing.assert_frame_equal(back, table, rtol=0, atol=0)
    assert (true_probability(back) == true_probability(table)).all()
    typed = back.assign(**{name: pd.to_datetime(back[name]) for name in bank.DATES})
    assert (true_probability(typed) == true_probability(table)).all()
    assert b"\r" not in (tmp_path / "t.csv").read_bytes()


def test_the_bytes_are_the_same_everywhere_and_those_of_the_lock_file(tmp_path):
    write(tmp_path / "small.csv", 200, 5)
    assert (
        hashlib.md5((tmp_path / "small.csv").read_bytes()).hexdigest()
        == "7386da2cfe0396212f745b0dc20f98ee"
    )
    write(tmp_path / "whole.csv")
    assert (
        f"md5: {hashlib.md5((tmp_path / 'whole.csv').read_bytes()).hexdigest()}"
        in (ROOT / "dvc.lock").read_text()
    )


def test_parquet_holds_the_same_table_in_pieces(monkeypatch, tmp_path):
    monkeypatch.setattr(bank, "CHUNK", 64)
    write(tmp_path / "t.parquet", 300, 3)
    back, drawn = pd.read_parquet(tmp_path / "t.parquet"), draw(300, seed=3)
    assert str(back.last_contact.dtype).startswith("datetime64")
    assert (true_probability(back) == true_probability(drawn)).all()
    pd.testing.assert_frame_equal(
        back.drop(columns=list(bank.DATES)), drawn.drop(columns=list(bank.DATES))
    )


def test_an_interrupted_table_leaves_nothing_behind(monkeypatch, tmp_path):
    monkeypatch.setattr(bank, "CHUNK", 10)
    real = bank.draw

    def failing(rows, seed, start=0):
        if start >= 20:
            raise RuntimeError("interrupted")
        return real(rows, seed, start)

    monkeypatch.setattr(bank, "draw", failing)
    with pytest.raises(RuntimeError, match="interrupted"):
        write(tmp_path / "t.csv", 50, 3)
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_writes_the_table(tmp_path):
    generate = [sys.executable, "-m", "fivefold.data.synthetic.bank"]
    options = ["--rows", "50", "--seed", "7", "--out", str(tmp_path / "t.csv")]
    subprocess.run([*generate, *options], cwd=ROOT, check=True)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "t.csv"), draw(50, seed=7))


def test_the_command_line_refuses_nonsense(capsys):
    with pytest.raises(SystemExit, match="2"):
        bank.main(["--rows", "0"])
    assert "expected --rows from 1 and --seed from 0, found 0 and 5" in capsys.readouterr().err


def test_the_scope_fits_the_table(table):
    scope = read_scope(ROOT / "data" / "churn.toml")
    named = {
        *scope.id_columns,
        *scope.protected_columns,
        *scope.changeable_columns,
        *scope.units,
        *scope.help,
        scope.target,
    }
    assert named == set(table.columns)
    schema = infer_schema(table, scope, ("no", "yes"))
    assert {c.name: c.kind for c in schema.columns} == {
        "customer_id": "id",
        "country": "categorical",
        "gender": "categorical",
        "age": "numeric",
        "tenure": "numeric",
        "customer_since": "date",
        "branch": "categorical",
        "channel": "categorical",
        "credit_score": "numeric",
        "salary": "numeric",
        "balance": "numeric",
        "n_products": "numeric",
        "has_card": "boolean",
        "card_tier": "categorical",
        "active_member": "boolean",
        "logins_30d": "numeric",
        "complaints_12m": "numeric",
        "satisfaction": "numeric",
        "last_contact": "date",
        "as_of": "date",
    }
    assert schema.reference == "as_of"
    assert scope.time_column is None
    assert scope.min_roc_auc < best_roc_auc(table)

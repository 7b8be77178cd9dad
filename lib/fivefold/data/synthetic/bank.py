"""Bank: the bundled table, customers of an invented bank, whose best possible score is known.

Every value is drawn and rounded first, missing cells included. The probability of leaving is then
a function of the finished row alone (`true_probability`), never of a value that the table hides.
So it can be computed from the CSV, and with it the score that no model can beat in expectation
(`expected_roc_auc`). Where a cell is missing, the outcome does not depend on what might have stood
there:

    missing at random: satisfaction 15% (survey not returned), balance 2% missing, and telling:
    salary (declined), last_contact (never), logins_30d (no app); card_tier without a card
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

TARGET, ROWS, SEED = "churned", 10_000, 5
CHUNK = 100_000  # rows that are drawn and written at a time
SNAPSHOT = np.datetime64("2026-06-30")  # the day of the table; all dates lie before it
# Uniform numbers per row: row i uses those from i * DRAWS on, so rows do not depend on each other.
DRAWS = 36

COUNTRIES = {"France": 0.46, "Germany": 0.24, "Spain": 0.20, "Italy": 0.10}
GENDERS = {"female": 0.46, "male": 0.52, "other": 0.02}
TIERS = ("basic", "silver", "gold", "platinum")
CHANNELS = {
    "web": 0.20,
    "branch": 0.18,
    "app": 0.16,
    "referral": 0.10,
    "phone": 0.07,
    "broker": 0.07,
    "comparison": 0.06,
    "mail": 0.05,
    "social": 0.05,
    "event": 0.03,
    "partner": 0.02,
    "employer": 0.01,
}
BRANCHES = {f"B{k:02d}": 1 / (k + 8) for k in range(1, 61)}
DATES = ("customer_since", "last_contact", "as_of")
_NUMBERS = """
    age tenure credit_score salary balance n_products logins_30d complaints_12m satisfaction
"""
_CHANNEL_EFFECT = {
    "comparison": 0.45,
    "social": 0.45,
    "broker": 0.3,
    "event": 0.3,
    "referral": -0.3,
    "employer": -0.5,
}
_SPREAD, _INTERCEPT = 1.05, -3.55  # chosen for about 20% leavers and a best ROC AUC of about .88


def draw(rows: int, seed: int = SEED, start: int = 0) -> pd.DataFrame:
    """Return rows `start` to `start + rows` of the endless table of this seed, as read from CSV.

    A row always uses the same uniform numbers of PCG64: any piece of the table can be drawn alone,
    and a longer table begins with the shorter one. Dates are ISO texts. Raises ValueError for rows
    < 1.
    """
    if rows < 1 or start < 0:
        raise ValueError(
            f"rows: expected at least 1 from row 0 on, found {rows} from row {start}; ask for more"
        )
    generator = np.random.Generator(np.random.PCG64(seed).advance(start * DRAWS))
    uniforms = iter(generator.random((rows, DRAWS)).T)
    ids = [f"C{n:08d}" for n in range(start + 1, start + rows + 1)]
    frame = pd.DataFrame({"customer_id": ids, **_features(uniforms), "as_of": str(SNAPSHOT)})
    leaves = next(uniforms) < true_probability(frame)
    frame[TARGET] = np.where(leaves, "yes", "no")
    return frame


def true_probability(frame: pd.DataFrame) -> np.ndarray:
    """Return P(churned = yes | the row), exact, shape (rows,), of a frame as read from the CSV.

    A logistic model with humps, steps and interactions: age with activity, products with balance,
    channel with tenure, complaints with last contact. Uses no column but the observed ones;
    customer_id and customer_since have no effect of their own. Dates are texts or typed, and count
    as days before `as_of`: where all of them move, the probability stays. Raises KeyError for a
    missing column.
    """
    age, tenure, credit, salary, balance, products, logins, complaints, satisfaction = (
        frame[name].to_numpy(dtype="float64") for name in _NUMBERS.split()
    )
    inactive = (frame["active_member"] == "no").to_numpy()
    since_contact = pd.to_datetime(frame["as_of"]) - pd.to_datetime(frame["last_contact"])
    silent = since_contact.dt.days.to_numpy(dtype="float64", na_value=np.nan)
    wealth = np.nan_to_num(np.minimum(balance / 100_000, 2.5))
    one, two, more = products == 1, products == 2, products >= 3
    middle_age = np.exp(-(((age - 54) / 11) ** 2))
    score = (
        middle_age * np.where(inactive, 3.3, 0.4)
        + 0.25 * inactive  # age x activity
        - 0.9 * two
        + 2.3 * more
        + wealth * np.where(one, 0.75, np.where(two, -0.55, 0.2))  # products x balance
        - 0.35 * (wealth == 0)
        + 0.8 / (1 + np.exp((credit - 500) / 20))  # low credit: a soft step
        + 0.15 * np.cos(tenure / 20 * 2 * np.pi)
        + _effect(frame["country"], {"Germany": 0.45, "Italy": 0.15})
        + _effect(frame["gender"], {"female": 0.25})
        + _effect(frame["channel"], _CHANNEL_EFFECT)
        * np.where(tenure < 3, 1.8, 0.6)  # channel x tenure
        + _effect(
            frame["branch"], {name: 0.15 * np.sin(2.4 * k) for k, name in enumerate(BRANCHES)}
        )
        + _effect(frame["card_tier"], {"gold": -0.25, "platinum": -0.5})
        + 0.15 * (frame["has_card"] == "no").to_numpy()
        + np.where(np.isnan(salary), 0.7, 0.3 * (salary < 25_000))
        + np.where(np.isnan(logins), 0.3, 0.7 * np.exp(-np.nan_to_num(logins) / 3))
        + np.minimum(complaints, 3) * np.where(np.nan_to_num(silent, nan=999) > 120, 1.1, 0.35)
        - 0.4 * np.nan_to_num(satisfaction - 3)
        + np.where(np.isnan(silent), 0.5, 0.6 * np.minimum(np.nan_to_num(silent) / 365, 1))
    )
    probability: np.ndarray = 1 / (1 + np.exp(-(_INTERCEPT + _SPREAD * score)))
    return probability


def expected_roc_auc(p: np.ndarray) -> float:
    """Return the expected ROC AUC of ranking rows by `p`, shape (rows,), their true probability.

    The sum over i != j of p_i (1 - p_j) ([p_i > p_j] + [p_i = p_j] / 2), divided by the sum of p_i
    (1 - p_j): expected concordant pairs over expected pairs, in O(n log n). No other ranking has a
    higher value (Clémençon, Lugosi and Vayatis 2008, "Ranking and empirical minimization of
    U-statistics"). NaN where no pair can differ.

    >>> round(expected_roc_auc(np.array([0.2, 0.8])), 12)  # .8 x .8 / (.8 x .8 + .2 x .2)
    0.941176470588
    """
    _, group = np.unique(p, return_inverse=True)
    positive, negative = np.bincount(group, p), np.bincount(group, 1 - p)
    itself = float((p * (1 - p)).sum())
    below = np.cumsum(negative) - negative
    pairs = float(p.sum() * (1 - p).sum()) - itself
    concordant = float(positive @ below) + (float(positive @ negative) - itself) / 2
    return concordant / pairs if pairs > 0 else float("nan")


def write(path: str | Path, rows: int = ROWS, seed: int = SEED) -> None:
    """Write the table as CSV (UTF-8, "\\n", dates ISO, missing empty), or as Parquet by its name.

    It is drawn and written in pieces of 100,000 rows, so memory does not grow with `rows`. The
    file appears only when complete. CSV bytes depend on rows and seed alone; Parquet bytes also on
    the version of pyarrow.
    """
    path = Path(path)
    part = path.with_name(path.name + ".part")
    pieces = (draw(min(CHUNK, rows - at), seed, at) for at in range(0, max(rows, 1), CHUNK))
    write_pieces = _write_parquet if path.suffix == ".parquet" else _write_csv
    try:
        write_pieces(part, pieces)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the bundled table from the command line."""
    parser = argparse.ArgumentParser(
        "python -m fivefold.data.synthetic.bank", description="Draw the bundled churn table."
    )
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--out", default="data/churn.csv", help="a .csv or .parquet file")
    options = parser.parse_args(arguments)
    if options.rows < 1 or options.seed < 0:
        parser.error(
            f"expected --rows from 1 and --seed from 0, found {options.rows} and {options.seed}"
        )
    write(options.out, options.rows, options.seed)


def _features(u: Iterator[np.ndarray]) -> dict[str, np.ndarray | pd.Series]:
    """Return all columns but id and target.

    Every step takes its uniform numbers, shape (rows,), from `u` in turn.
    """
    country, gender = _pick(COUNTRIES, next(u)), _pick(GENDERS, next(u))
    age = np.clip(np.rint(18 + 21 * np.exp(0.45 * _normal(u))), 18, 92)
    tenure = np.floor(next(u) ** 1.5 * np.minimum(21, age - 17))
    member_days = np.floor(365.25 * (tenure + 0.05 + 0.9 * next(u)))
    credit = np.clip(np.rint(635 + 0.4 * (age - 40) + 95 * _normal(u)), 350, 850)
    active = next(u) < 1 / (1 + np.exp(-(0.02 * (age - 40) + 0.15)))
    salary = np.rint(np.exp(10.85 + 0.45 * _normal(u)))
    salary_shown = next(u) >= np.where(active, 0.05, 0.11)
    german = country == "Germany"
    empty = next(u) < np.where(german, 0.06, 0.46)
    balance = np.where(
        empty, 0, np.rint(100 * np.exp(11.3 + 0.15 * german + 0.5 * _normal(u))) / 100
    )
    balance_shown = next(u) >= 0.02
    limits = np.where(empty, [[0.32], [0.94], [0.99]], [[0.58], [0.93], [0.99]])
    products = 1 + (next(u) >= limits).sum(axis=0)
    card = next(u) < 0.7
    tier = np.digitize(0.6 * (np.log(salary) - 10.85) / 0.45 + 0.8 * _normal(u), [0, 0.8, 1.6])
    channel, branch = _pick(CHANNELS, next(u)), _pick(BRANCHES, next(u))
    logins = np.minimum(np.floor(np.exp(np.where(active, 2.3, 1.1) + 0.8 * _normal(u))), 90)
    app = next(u) >= np.where(age > 60, 0.25, 0.04)
    complaints = (
        next(u) >= np.where(active, [[0.84], [0.97], [0.995]], [[0.74], [0.93], [0.98]])
    ).sum(axis=0)
    satisfaction = 1 + np.digitize(_normal(u) - 0.5 * complaints, [-1.6, -0.8, 0, 0.9])
    answered = next(u) >= 0.15
    contacted = next(u) >= np.where(active, 0.09, 0.16)
    silent_days = np.floor(np.minimum(-160 * np.log(1 - next(u)), 0.95 * member_days))
    return {
        "country": country,
        "gender": gender,
        "age": age.astype("int64"),
        "tenure": tenure.astype("int64"),
        "customer_since": _iso(member_days),
        "branch": branch,
        "channel": channel,
        "credit_score": credit.astype("int64"),
        "salary": np.where(salary_shown, salary, np.nan),
        "balance": np.where(balance_shown, balance, np.nan),
        "n_products": products,
        "has_card": np.where(card, "yes", "no"),
        "card_tier": pd.Series(np.array(TIERS)[tier], dtype="str").where(card),
        "active_member": np.where(active, "yes", "no"),
        "logins_30d": np.where(app, logins, np.nan),
        "complaints_12m": complaints,
        "satisfaction": np.where(answered, satisfaction, np.nan),
        "last_contact": pd.Series(_iso(silent_days), dtype="str").where(contacted),
    }


def _normal(u: Iterator[np.ndarray]) -> np.ndarray:
    """Return a standard normal from two uniform numbers: the same in every version of NumPy.

    Source: Box and Muller (1958).
    """
    radius = np.sqrt(-2 * np.log(1 - next(u)))
    normal: np.ndarray = radius * np.cos(2 * np.pi * next(u))
    return normal


def _pick(shares: dict[str, float], uniform: np.ndarray) -> np.ndarray:
    """Return one level per row, with these shares (scaled to sum to one)."""
    limits = np.cumsum(list(shares.values()))
    codes = np.digitize(uniform * limits[-1], limits[:-1])
    levels: np.ndarray = np.array(list(shares), dtype=object)[codes]
    return levels


def _effect(values: pd.Series, effects: dict[str, float]) -> np.ndarray:
    return values.map(effects).fillna(0.0).to_numpy(dtype="float64")


def _iso(days_before: np.ndarray) -> np.ndarray:
    return (SNAPSHOT - days_before.astype("int64").astype("timedelta64[D]")).astype(str)


def _write_csv(path: Path, pieces: Iterator[pd.DataFrame]) -> None:
    with path.open("w", encoding="utf-8", newline="") as out:
        for piece in pieces:
            balance = piece["balance"].map("{:.2f}".format, na_action="ignore")
            piece.assign(balance=balance).to_csv(
                out, index=False, header=not out.tell(), float_format="%d", lineterminator="\n"
            )


def _write_parquet(path: Path, pieces: Iterator[pd.DataFrame]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = dict.fromkeys(DATES, "datetime64[us]")
    tables = (pa.Table.from_pandas(piece.astype(types), preserve_index=False) for piece in pieces)
    first = next(tables)
    with pq.ParquetWriter(path, first.schema) as writer:
        writer.write_table(first)
        for table in tables:
            writer.write_table(table.cast(first.schema))


if __name__ == "__main__":
    main()

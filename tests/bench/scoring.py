"""Times of scoring in one process and one thread: `python -m tests.bench.scoring`.

A table of texts, as from a CSV file, goes through `Bundle.score`: reading, input warnings, model,
calibration. Compared with:

- "stock": the same with the pipeline's own predict_proba;
- "bare": predict_proba of the classifier alone on the encoded matrix;
- "splines": bare with scikit-learn's splines of the numbers, where the model has them (a logistic
  regression alone is a dot product; its splines are most of the work).

Models are fitted on the generated table with their first defaults, boosted ones with --rounds.
"""

from __future__ import annotations

import argparse
import io
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.linalg  # noqa: F401  loads its BLAS, for the limit below
from threadpoolctl import threadpool_limits

from fivefold.core.schema import Schema
from fivefold.core.scope import Scope
from fivefold.data.coerce import coerce_table
from fivefold.data.infer import infer_schema
from fivefold.data.synthetic.bank import TARGET, draw
from fivefold.model.bundle import Bundle
from fivefold.model.calibration import IDENTITY
from fivefold.model.inputs import expand
from fivefold.model.metadata import Metadata, Outcomes
from fivefold.model.threshold import Threshold
from fivefold.training.algorithms import ALGORITHMS
from fivefold.training.final_fit import average
from tests.support.training import candidate, fit_final

ROWS = 10_000
GOALS = "goals: one row 10 ms (a blend 30 ms), 10,000 rows 2 x bare"
SCOPE = Scope(target=TARGET, positive="yes", id_columns=("customer_id",))
METADATA = Metadata(
    calibration=replace(IDENTITY, a=0.9),
    threshold=Threshold(0.3),
    outcomes=Outcomes("stays", "leaves"),
)


class Stock:
    """A model of which nothing is known but predict_proba."""

    def __init__(self, model: Any):
        self.predict_proba = model.predict_proba


def main() -> None:
    """Fit, measure, print one table; medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--repeats", type=int, default=50, help="of one row; a tenth of it of the whole table"
    )
    parser.add_argument("--rounds", type=int, default=200)
    options = parser.parse_args()
    threadpool_limits(1)
    warnings.simplefilter("ignore")  # that arrays have no column names
    frame, asked = as_read(seed=5), as_read(seed=6).drop(columns=TARGET)
    schema = infer_schema(frame, SCOPE, ("no", "yes"))
    typed, y = coerce_table(frame, schema)[0], (frame[TARGET] == "yes").to_numpy().astype("int8")
    models = {}
    for seeds in (1, None):
        fits = {}
        for name, entry in ALGORITHMS.items():
            one = candidate(name, rounds=options.rounds, max_rows=entry.max_rows)
            fits[name] = fit_final(one, typed, y, schema, seeds=seeds)
        several = {
            name: model for name, model in fits.items() if seeds == 1 or ALGORITHMS[name].seeds > 1
        }
        models |= {
            name + ("" if seeds == 1 else f" x {ALGORITHMS[name].seeds}"): [model]
            for name, model in several.items()
        }
        models["blend of five" + ("" if seeds == 1 else ", seeds")] = list(fits.values())
    print(
        f"{'model':26}{'1 row, ms':>11}{'stock':>9}{f'{ROWS:,} rows, ms':>17}{'stock':>9}"
        f"{'bare':>9}{'ratio':>8}{'splines':>9}{'ratio':>8}"
    )
    for name, parts in models.items():
        model = parts[0] if len(parts) == 1 else average(parts, [0.1, 0.2, 0.15, 0.25, 0.3])
        result = measure(model, parts, schema, asked, options.repeats)
        print(
            f"{name:26}{result[0]:11.2f}{result[1]:9.1f}{result[2]:17.1f}{result[3]:9.1f}"
            f"{result[4]:9.1f}{result[2] / result[4]:8.2f}"
            f"{result[5]:9.1f}{result[2] / result[5]:8.2f}",
            flush=True,
        )
    print(GOALS)


def as_read(seed: int) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(draw(ROWS, seed).to_csv(index=False)), dtype="str")


def measure(
    model: Any, parts: list[Any], schema: Schema, asked: pd.DataFrame, repeats: int
) -> list[float]:
    """Milliseconds: [one row, one row stock, all rows, all rows stock, bare, bare with splines].

    `parts`: the pipelines that
    `model` is made of.
    """
    ours, stock = Bundle(model, schema, METADATA), Bundle(Stock(model), schema, METADATA)
    np.testing.assert_allclose(
        ours.score(asked)["probability"], stock.score(asked)["probability"], rtol=1e-6
    )
    row, expanded = (
        asked.iloc[[17]].reset_index(drop=True),
        expand(coerce_table(asked, schema)[0], schema),
    )
    matrices = [(part["model"], part["features"].transform(expanded)) for part in parts]
    few, curves = max(3, repeats // 10), splines(parts, expanded)
    bare = median(lambda: [model.predict_proba(matrix) for model, matrix in matrices], few)
    bent = median(lambda: [curve.transform(numbers) for curve, numbers in curves], few)
    return [
        median(lambda: ours.score(row), repeats),
        median(lambda: stock.score(row), few),
        median(lambda: ours.score(asked), few),
        median(lambda: stock.score(asked), 3),
        bare,
        bare + bent,
    ]


def splines(parts: list[Any], expanded: pd.DataFrame) -> list[tuple[Any, np.ndarray]]:
    """(fitted steps with a SplineTransformer, their numbers) of each pipeline that has them."""
    actual = []
    for part in parts:
        encoder = part["features"][0] if hasattr(part["features"], "steps") else part["features"]
        for name, step, columns in encoder.transformers_:
            if name == "numbers" and "splinetransformer" in getattr(step, "named_steps", {}):
                actual.append((step, expanded[list(columns)].to_numpy()))
    return actual


def median(work: Callable[[], object], repeats: int) -> float:
    """Milliseconds, after one run that does not count."""
    times = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return 1000 * statistics.median(times[1:])


if __name__ == "__main__":
    main()

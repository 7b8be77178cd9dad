"""Row groups: one integer per row, the same for rows that belong together."""

from __future__ import annotations

import numpy as np
import pandas as pd

MANY_TWINS = 0.5  # share of rows that repeat others above which a table may be coarse
# A table is coarse where chance explains this share of the repeated rows, and where it has this
# share of the distinct rows that chance would give.
BY_CHANCE, AS_DISTINCT = 0.5, 0.25


def hash_rows(frame: pd.DataFrame) -> np.ndarray:
    """Return a 64-bit hash per row, shape (rows,), the same for equal rows; missing equals missing.

    The chance of one false pair in a million rows is 3e-8.
    """
    hashes: np.ndarray = pd.util.hash_pandas_object(frame, index=False).to_numpy()
    return hashes


def duplicate_groups(frame: pd.DataFrame) -> np.ndarray:
    """Return one integer per row, the same for rows with equal cells, by first appearance.

    Parameters
    ----------
    frame
        Typed features only, without ids and target. Without any column every row is its own group.

    Returns
    -------
    Codes 0, 1, ... of shape (rows,), int64.

    >>> frame = pd.DataFrame({"a": [1.0, 2.0, 1.0, None], "b": ["x", "x", "x", None]})
    >>> duplicate_groups(frame).tolist()
    [0, 1, 0, 2]
    """
    if not len(frame.columns):
        return np.arange(len(frame), dtype="int64")
    codes, _ = pd.factorize(hash_rows(frame))
    return codes.astype("int64")


def twin_groups(typed: pd.DataFrame, rows: np.ndarray) -> np.ndarray | None:
    """Return the `duplicate_groups` of a table in which equal rows are copies of one case.

    Returns None for a coarse table, whose columns cannot tell rows apart: most of `rows`
    (positions) have a twin, and most of them would have one by chance. There equal rows are
    different cases. By chance means: with the same cells, each column shuffled on its own
    (a permutation test of independence, as in Good 2005, "Permutation, parametric and bootstrap
    tests of hypotheses"). Columns that another one determines do not count.
    """
    codes = duplicate_groups(typed)
    distinct = len(np.unique(codes[rows]))
    repeated = len(rows) - distinct
    if repeated <= MANY_TWINS * len(rows):
        return codes
    table = typed.iloc[rows]
    expected = _distinct_by_chance(table[_own_columns(table.drop_duplicates())])
    is_chance = len(rows) - expected >= BY_CHANCE * repeated
    return None if is_chance and distinct >= AS_DISTINCT * expected else codes


def _own_columns(distinct: pd.DataFrame) -> list[str]:
    """Return the columns that no other one determines, given distinct rows.

    Only a column whose values come back in other rows can show that it determines one.
    """
    codes = {str(name): pd.factorize(distinct[name], use_na_sentinel=False)[0] for name in distinct}
    levels = {name: int(of_row.max()) + 1 for name, of_row in codes.items()}
    own: list[str] = []
    for name, of_row in codes.items():
        is_determined = any(
            2 * levels[other] <= len(distinct)
            and len(np.unique(codes[other] * levels[name] + of_row)) == levels[other]
            for other in own
        )
        if not is_determined:
            own.append(name)
    return own


def _distinct_by_chance(table: pd.DataFrame) -> int:
    """Return how many rows are distinct once each column is shuffled on its own."""
    rng = np.random.default_rng(0)
    shuffled = {name: table[name].array.take(rng.permutation(len(table))) for name in table}
    return len(np.unique(hash_rows(pd.DataFrame(shuffled))))


def join_groups(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return groups that keep rows together when `a` or `b` (codes >= 0) does, chains included.

    >>> join_groups(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 2])).tolist()
    [0, 0, 0, 1]
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    offset = int(a.max()) + 1
    nodes = offset + int(b.max()) + 1
    edges = coo_matrix((np.ones(len(a)), (a, b + offset)), shape=(nodes, nodes))
    _, component_of_node = connected_components(edges, directed=False)
    groups: np.ndarray = component_of_node[a]
    return groups

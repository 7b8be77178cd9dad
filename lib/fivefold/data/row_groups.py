"""Row groups: one integer per row, the same for rows that belong together."""

from __future__ import annotations

import numpy as np
import pandas as pd

COARSE_TABLE = 0.5  # share of distinct rows below which equal rows count as different cases


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

    Returns None for a coarse table, in which most of `rows` (positions) have a twin: there equal
    rows are different cases.
    """
    codes = duplicate_groups(typed)
    distinct = len(np.unique(codes[rows]))
    return None if distinct < COARSE_TABLE * len(rows) else codes


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

"""Tables as bytes: Parquet between steps and processes, never a pickled frame."""

from __future__ import annotations

import io

import pandas as pd


def to_parquet(frame: pd.DataFrame) -> bytes:
    """The frame as Parquet (zstd), index dropped."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False, compression="zstd")
    return buffer.getvalue()


def from_parquet(blob: bytes) -> pd.DataFrame:
    """The inverse of `to_parquet`."""
    return pd.read_parquet(io.BytesIO(blob))

"""Frames as Parquet bytes, for artifacts between steps and processes."""

from __future__ import annotations

import io

import pandas as pd


def to_parquet(frame: pd.DataFrame) -> bytes:
    """Return the frame as Parquet (zstd), without its index."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False, compression="zstd")
    return buffer.getvalue()


def from_parquet(content: bytes, columns: list[str] | None = None) -> pd.DataFrame:
    """Return the frame that `to_parquet` wrote, or some of its columns."""
    return pd.read_parquet(io.BytesIO(content), columns=columns)


def first_rows(content: bytes, rows: int) -> pd.DataFrame:
    """Return the first rows of the frame that `to_parquet` wrote; there must be one."""
    from pyarrow.parquet import ParquetFile

    batches = ParquetFile(io.BytesIO(content)).iter_batches(batch_size=rows)
    frame: pd.DataFrame = next(batches).to_pandas()
    return frame

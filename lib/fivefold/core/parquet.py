"""Tables as bytes: Parquet between steps and processes, never a pickled frame."""

from __future__ import annotations

import io

import pandas as pd


def to_parquet(frame: pd.DataFrame) -> bytes:
    """The frame as Parquet (zstd), index dropped."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False, compression="zstd")
    return buffer.getvalue()


def from_parquet(blob: bytes, head: int | None = None) -> pd.DataFrame:
    """The inverse of `to_parquet`; with `head` only its first rows, of which there must be one."""
    if head is None:
        return pd.read_parquet(io.BytesIO(blob))
    from pyarrow.parquet import ParquetFile

    return next(ParquetFile(io.BytesIO(blob)).iter_batches(batch_size=head)).to_pandas()

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
    """The inverse of `to_parquet`; with `head` only the first rows."""
    if head is None:
        return pd.read_parquet(io.BytesIO(blob))
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    file = ParquetFile(io.BytesIO(blob))
    first = next(file.iter_batches(batch_size=max(1, head)), None)
    return (pa.Table.from_batches([first]) if first is not None else file.schema_arrow.empty_table()).to_pandas()

"""
Rows into frames with a fixed schema: the same types from every database, empty or not.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
import polars as pl

from aicore_sqllog.querying.columns import FRAME_COLUMNS, MESSAGE_COLUMNS
from aicore_sqllog.querying.instants import INSTANT, instants
from aicore_sqllog.record.columns import ColumnKind

__all__ = [
    "MESSAGES_TYPE",
    "decoded",
    "frame_of_chunks",
    "frame_of_csv",
    "typed_frame",
    "with_messages",
    "with_ties_in_order",
]

_POLARS_TYPES: Mapping[ColumnKind, pl.DataType] = {
    ColumnKind.ID: pl.String(),
    ColumnKind.NAME: pl.String(),
    ColumnKind.TEXT: pl.String(),
    ColumnKind.JSON: pl.String(),
    ColumnKind.INSTANT: INSTANT,
    ColumnKind.COUNT: pl.Int64(),
    ColumnKind.AMOUNT: pl.Float64(),
}

_MESSAGE_FIELDS = ("role", "content", "parts", "sequence_number")

MESSAGES_TYPE = pl.List(pl.Struct({name: _POLARS_TYPES[MESSAGE_COLUMNS[name].kind] for name in _MESSAGE_FIELDS}))


def decoded(frame: pl.DataFrame) -> pl.DataFrame:
    """
    Return the frame of operations with JSON columns that are no texts.

    They hold Python objects (Polars' ``Object``): what each row
    holds differs, and a ``Struct`` would give every row the keys of all others.
    """
    documents = [name for name in frame.columns if FRAME_COLUMNS[name].kind is ColumnKind.JSON]
    return frame.with_columns(_decoded(frame[name]) for name in documents)


def with_messages(operations: pl.DataFrame, messages: pl.DataFrame) -> pl.DataFrame:
    """Return *operations* with a column ``messages``: each operation's, in order; an empty list where it has none."""
    lists = messages.group_by("operation_id", maintain_order=True).agg(pl.struct(_MESSAGE_FIELDS).alias("messages"))
    joined = operations.join(lists, on="operation_id", how="left", maintain_order="left")
    none = pl.lit(pl.Series([[]], dtype=MESSAGES_TYPE)).first()
    return joined.with_columns(pl.col("messages").fill_null(none))


def frame_of_csv(csv: bytes, columns: Mapping[str, ColumnKind]) -> pl.DataFrame:
    """Return what :func:`typed_frame` returns, from CSV in which a NULL is empty and an empty text is quoted."""
    types = {name: _POLARS_TYPES[kind] for name, kind in columns.items()}
    if not csv:
        return pl.DataFrame(schema=types)
    read = {name: pl.Int64() if dtype == INSTANT else dtype for name, dtype in types.items()}
    frame = pl.read_csv(csv, has_header=False, schema=read, low_memory=True)
    moments = [name for name, dtype in types.items() if dtype == INSTANT]
    return frame.with_columns(pl.col(name).cast(pl.Datetime("us")).dt.replace_time_zone("UTC") for name in moments)


def typed_frame(rows: Sequence[Sequence[Any]], columns: Mapping[str, ColumnKind]) -> pl.DataFrame:
    """Return the frame of *rows*, whose values are in the order of *columns*, each with the type of its kind."""
    return frame_of_chunks([rows], columns)


def frame_of_chunks(chunks: Iterable[Sequence[Sequence[Any]]], columns: Mapping[str, ColumnKind]) -> pl.DataFrame:
    """Return what :func:`typed_frame` returns, from rows that come in chunks."""
    types = {name: _POLARS_TYPES[kind] for name, kind in columns.items()}
    moments: dict[str, list[Any]] = {name: [] for name, dtype in types.items() if dtype == INSTANT}
    others = {name: dtype for name, dtype in types.items() if name not in moments}
    parts = [pl.DataFrame(schema=others)]
    for rows in filter(None, chunks):
        values = dict(zip(types, zip(*rows, strict=True), strict=True))
        for name, found in moments.items():
            found.extend(values[name])
        parts.append(pl.DataFrame([pl.Series(name, values[name], dtype=dtype) for name, dtype in others.items()]))
    frame = pl.concat(parts, rechunk=True)
    # All at once: to read them is work for several threads, and those must wake up for each chunk.
    series = {name: instants(name, moments[name]) if name in moments else frame[name] for name in types}
    return pl.DataFrame(series)


def with_ties_in_order(frame: pl.DataFrame, descending: bool) -> pl.DataFrame:
    """Return *frame*, whose rows are in the order of ``timestamp``, with equal ones in that of ``operation_id``."""
    if frame["timestamp"].n_unique() == frame.height:
        return frame
    return frame.sort(pl.col("timestamp").rle_id(), "operation_id", descending=[False, descending])


def _decoded(texts: pl.Series) -> pl.Series:
    values = [None if text is None else orjson.loads(text) for text in texts]
    return pl.Series(texts.name, values, dtype=pl.Object)

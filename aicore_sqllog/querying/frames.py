"""
Rows into frames with a fixed schema: the same types from every database, empty or not.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import polars as pl

from aicore_sqllog.querying.columns import FRAME_COLUMNS, MESSAGE_COLUMNS
from aicore_sqllog.querying.instants import INSTANT, instants
from aicore_sqllog.record.columns import ColumnKind

__all__ = ["MESSAGES_TYPE", "message_frame", "operation_frame", "typed_frame", "with_messages"]

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


def operation_frame(rows: Sequence[Sequence[Any]], columns: Sequence[str], decode_json: bool = False) -> pl.DataFrame:
    """
    Return the frame of *rows*, whose values are in the order of *columns*.

    With *decode_json* the JSON columns hold Python objects (Polars' ``Object``): what each row
    holds differs, and a ``Struct`` would give every row the keys of all others.
    """
    frame = typed_frame(rows, {name: FRAME_COLUMNS[name].kind for name in columns})
    if not decode_json:
        return frame
    documents = [name for name in columns if FRAME_COLUMNS[name].kind is ColumnKind.JSON]
    return frame.with_columns(_decoded(frame[name]) for name in documents)


def message_frame(rows: Sequence[Sequence[Any]]) -> pl.DataFrame:
    """Return the frame of message rows, as :func:`with_messages` takes it."""
    return typed_frame(rows, {name: column.kind for name, column in MESSAGE_COLUMNS.items()})


def with_messages(operations: pl.DataFrame, messages: pl.DataFrame) -> pl.DataFrame:
    """Return *operations* with a column ``messages``: each operation's, in order; an empty list where it has none."""
    lists = messages.group_by("operation_id", maintain_order=True).agg(pl.struct(_MESSAGE_FIELDS).alias("messages"))
    joined = operations.join(lists, on="operation_id", how="left", maintain_order="left")
    none = pl.lit(pl.Series([[]], dtype=MESSAGES_TYPE)).first()
    return joined.with_columns(pl.col("messages").fill_null(none))


def typed_frame(rows: Sequence[Sequence[Any]], columns: Mapping[str, ColumnKind]) -> pl.DataFrame:
    """Return the frame of *rows*, whose values are in the order of *columns*, each with the type of its kind."""
    values: Sequence[Sequence[Any]] = list(zip(*rows, strict=True)) if rows else [()] * len(columns)
    series = []
    for (name, kind), items in zip(columns.items(), values, strict=True):
        dtype = _POLARS_TYPES[kind]
        series.append(instants(name, items) if dtype == INSTANT else pl.Series(name, items, dtype=dtype))
    return pl.DataFrame(series)


def _decoded(texts: pl.Series) -> pl.Series:
    values = [None if text is None else orjson.loads(text) for text in texts]
    return pl.Series(texts.name, values, dtype=pl.Object)
